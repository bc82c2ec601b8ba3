"""Draws: photo and box -> source, mask, exemplar.

Files in the order of the flow:

    crops          box -> extended box -> square crop
    jitter         another hue, side and scale of source and exemplar together
    masks          box -> polygon
    raster         polygon -> pixels -> latent cells: the one way to either
    transforms     the four steps of an exemplar's augmentation, by albumentations
    exemplars      box -> exemplar -> its augmentation, replayable
    draw           photo and planned box -> source, mask, exemplar: all of the above
    mask_pictures  a mask picture of any mode and size -> the pixels to repaint
    mask_arrays    a mask as an array of numbers -> the same
    rings          pieces and holes <-> the one polygon that is stored
    traced_masks   pixels to repaint -> polygon of a crop
"""
