"""Shards -> model -> training -> editing -> evaluation. No Ray.

    train.py, edit.py, convert.py   the commands
    batch.py                        Batch: what the feed makes and the model takes

Rooms in the order of the flow; each one's docstring lists its files:

    feed            shards -> batches
    model           batches -> losses; noise and conditions -> latents
    weights         published and own weights -> models, and back
    training        feed and model -> checkpoints and exports
    editing         model, picture, mask and exemplar -> edited picture
    evaluation      model and unseen photos -> how well it does
"""
