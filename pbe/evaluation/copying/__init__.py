"""Copying: an exemplar and a hole -> the exemplar pasted there, and how far a picture is from such a paste.

Files in the order of the flow:

    segmenting   an exemplar -> the mask of its object, by GrabCut
    pasting      source, mask and exemplar -> the exemplar in the hole, as it is
    harmonising  what was pasted -> in the colours around it, by Reinhard colour transfer
    score        result, mask and exemplar -> how much of the exemplar was pasted
    mismatched   pairs that have nothing to do with each other -> the score above which a hole counts as copied
"""
