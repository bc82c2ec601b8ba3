"""Metrics: pictures, or features of them -> numbers.

Files in the order of the flow:

    measured       a number, or why there is none
    encoders       pictures -> features
    feature_cache  an encoder and a folder -> the same encoder, which encodes no picture twice
    regions        result and mask -> the part that is compared with the exemplar
    similarity     that part and the exemplar -> the cosine of their features, by any encoder
    clip_score     the same by CLIP ViT-B/32, times 100, in the paper's form and without its fault
    colour         hole and exemplar -> how far apart their mean colours are
    outside        source, result and mask -> what changed outside of the mask
    seam           picture and mask -> how visible the mask's edge is
    sets           features of many pictures -> how far they lie from real ones
    intervals      a value a case -> their mean and its interval
    differences    one metric of several rows -> the difference of each pair, and whether it is chance
"""
