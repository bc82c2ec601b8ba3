"""Planning: BOXES -> units of photos."""
