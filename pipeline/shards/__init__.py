"""Shards: a dataset on disk."""
