"""Boxes: tables -> BOXES -> the first rule that drops each row."""
