"""Overlap: two sets of photos -> the photos that are in both, recompressed, cropped, flipped or turned.

Files in the order of the flow:

"""
