"""Methods: opened cases -> edited pictures. One small file each, behind one protocol.

Files and rooms in the order of the flow:

    protocol        what every method is, a stranger's too
    checks          what a method returned -> a picture of its case, or why it is none
    attempts        a method and a few cases -> pictures of each, or why there are none
    weight_digests  files of weights -> a digest of their bytes, remembered by sizes and times
    blended         Blended Diffusion, guided by text or by an image
"""
