"""Pictures: dataset -> figures.

Files in the order of the flow:

    outlines     boxes and masks, drawn onto pictures
    cut_sources  photos and an index row -> the source, cut anew
    stand_in     the exemplar at its place, where the source is not stored
    tiles        rows of pictures -> one labelled figure
    overview     dataset -> overview.png, a contact sheet of samples read back
    funnel       totals -> funnel.png, what left at which stage
"""
