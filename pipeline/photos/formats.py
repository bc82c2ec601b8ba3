"""Formats: which file names may be photos, and which decoders are tried."""

# In the order in which they are tried where names are not listed, on remote storage; locally, any case is found.
SUFFIXES = (
    *(".jpg", ".jpeg", ".png", ".webp", ".JPG", ".JPEG", ".PNG", ".tif", ".tiff", ".bmp", ".gif", ".jp2", ".mpo"),
    *(".jfif", ".WEBP", ".TIF", ".TIFF", ".BMP", ".GIF", ".JP2", ".MPO", ".JFIF"),
)
PICTURES = frozenset(suffix.lower() for suffix in SUFFIXES)

# What SUFFIXES names. Pillow knows 40 more, some of which start other programs.
FORMATS = ("JPEG", "PNG", "WEBP", "TIFF", "BMP", "GIF", "JPEG2000")  # MPO comes with JPEG, and JFIF is one


def is_picture(name: str) -> bool:
    """Whether a name ends as pictures' names do, in any case."""
    dot = name.rfind(".")
    return dot > 0 and name[dot - 1] != "/" and name[dot:].lower() in PICTURES
