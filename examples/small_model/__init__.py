"""The shipped small model: what it was trained on, and by which commands (README.md).

Files in the order of the flow:

    scenes   a generator -> a picture of one textured object on a ground, and the object's box
    photos   folders of free photos and generated scenes -> an Open Images folder to shard
    unseen   the photos that these leave out -> an Open Images folder to measure on
"""
