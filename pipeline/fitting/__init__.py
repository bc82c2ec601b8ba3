"""Fitting: photos -> encoders in closed form, without training.

Files in the order of the flow; the first two import no torch:

    config     the flags of the command
    photos     folders -> photos by content, upright, and squares of them
    patches    squares -> the principal components of their patches: a codec
    features   squares -> the principal components of a network's features: an exemplar encoder
    writing    both -> the folders that --vae and --exemplar-encoder take
"""
