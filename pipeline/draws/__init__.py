"""Draws: photo and box -> source, mask, exemplar."""
