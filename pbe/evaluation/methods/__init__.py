"""Methods: opened cases -> edited pictures. One small file each, behind one protocol.

Files and rooms in the order of the flow:

    protocol        what every method is, a stranger's too
    weight_digests  files of weights -> a digest of their bytes, remembered by sizes and times
    blended         Blended Diffusion, guided by text or by an image
"""
