"""What crosses a disk or process border, in the order of the flow: boxes, drops, samples, shards."""
