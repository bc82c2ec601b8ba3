"""Feed: shards -> batches."""
