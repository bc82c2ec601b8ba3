"""Units: a unit of photos -> its shards, one a draw."""
