"""Encoders: pixels <-> latents; exemplars -> vectors."""
