"""Storage: any URL -> whole files."""
