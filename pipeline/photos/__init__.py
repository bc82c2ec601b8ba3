"""Photos: id -> bytes -> upright RGB, or the reason why not."""
