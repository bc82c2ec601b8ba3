"""Shards -> model -> training -> editing -> evaluation. No Ray.

Training, in the order of its flow: train, train_config, training, ranks, run_folder, order, feed,
frozen, engine, moving_average, stepping, observations, validation, telemetry, checkpoint, memory.
The model, in the order of its flow: batch, conditioner, unet, diffusion, model. Its weights: pickles, ldm, weights,
loading, export.
"""
