"""Evaluation: a model and unseen photos -> how good it is."""
