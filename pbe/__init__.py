"""Shards -> model -> training -> editing -> evaluation. No Ray.

The model, in the order of its flow: batch, conditioner, unet, diffusion, model. Its weights: pickles, ldm, weights,
loading, export.
"""
