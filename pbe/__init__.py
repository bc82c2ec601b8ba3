"""Shards -> model -> training -> editing -> evaluation. No Ray. Empty until the trainer lands."""
