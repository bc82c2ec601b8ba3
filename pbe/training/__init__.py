"""Training: config -> a trained model."""
