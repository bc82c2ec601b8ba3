"""Overlap: two sets of photos -> the photos that are in both, cropped, flipped, turned or recompressed as they may be.

Files in the order of the flow:

    config      the flags of the verb
    sides       a dataset and its photos, or photos alone -> the photos of one side
    flickr      tables of addresses -> the Flickr id of each photo
    greys       a photo's bytes -> two grey pictures: one to hash, one to align
    windows     a small grey picture -> hashes of 52 windows, and of their flips and turns
    hash_index  many hashes -> those within a few bits of another one
    patches     two windows with near hashes -> whether their details agree
    aligning    two grey pictures -> whether one affine map takes one to the other
    comparing   a photo and many known ones -> those that are the same
    blocks      two sides -> what came of comparing them, block by block, kept
    control     photos of one side -> how often different ones are taken for one
    pairs       matches by pixels and by Flickr id -> OVERLAP
    facts       what was found -> overlap.json and back, and a report's line
    sheet       the pairs that were found -> overlap.jpg
    run         flags -> all of it
"""
