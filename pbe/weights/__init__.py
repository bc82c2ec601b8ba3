"""Weights: published weights in and out."""
