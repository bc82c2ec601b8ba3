"""Overlap: two sets of photos -> the photos that are in both, cropped, flipped, turned or recompressed as they may be.

Files in the order of the flow:

    windows     a small grey picture -> hashes of 47 windows, and of their flips and turns
    hash_index  many hashes -> those within a few bits of another one
"""
