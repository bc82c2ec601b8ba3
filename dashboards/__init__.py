"""Dashboards: what is on disk -> something to look at.

Files in the order of the flow:

    conditions  --where -> an expression over the columns of a sample
    rows        a dataset, finished or not -> the samples to look at
    quality     index rows -> areas, cover, border, squash, strength of augmentation
    pictures    an index row -> what the trainer sees of the sample
"""
