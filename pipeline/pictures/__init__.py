"""Pictures: dataset -> figures."""
