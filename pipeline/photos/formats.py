"""Formats: which file names may be photos, and which decoders are tried."""

SUFFIXES = (".jpg", ".jpeg", ".png", ".webp", ".JPG", ".JPEG", ".PNG", ".tif", ".tiff", ".bmp", ".gif", ".jp2", ".mpo")


# What SUFFIXES names. Pillow knows 40 more, some of which start other programs.
FORMATS = ("JPEG", "PNG", "WEBP", "TIFF", "BMP", "GIF", "JPEG2000")  # MPO comes with JPEG
