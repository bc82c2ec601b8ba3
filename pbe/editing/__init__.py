"""Editing: source, mask, exemplar -> pictures."""
