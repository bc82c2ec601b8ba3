"""Carried: a file -> what pictures made of it take over besides pixels, and what is lost on the way.

Colour profile, EXIF (of which orientation is applied, and thumbnail and maker's note stay behind, since they may show
what was not edited) and a PNG's gamma go along. XMP and comments do not.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from PIL import Image, PngImagePlugin

from pipeline.decoding.colour import kind_of
from pipeline.decoding.decode import open_header
from pipeline.decoding.depth import bits_a_channel
from pipeline.decoding.orientation import read_exif
from pipeline.decoding.profiles import is_srgb, one_way, own_space

MAX_JPEG_EXIF_BYTES = 65_500
_TEXTS = (270, 271, 272, 305, 306, 315, 316, 33432, *range(40091, 40096))  # description, camera, dates, artist ...
_KEPT_TAGS = (282, 283, 296, 18246, *_TEXTS)  # px an inch, rating
_EXIF, _GPS, _INTEROPERABILITY = 0x8769, 0x8825, 0xA005
_MAKER_NOTE, _WIDTH, _HEIGHT = 0x927C, 0xA002, 0xA003
_PNG_COLOUR = (b"gAMA", b"cHRM", b"sRGB", b"cICP")


@dataclass(frozen=True)
class Carried:
    """What goes along.

    Args:
        profile: of the colours that the pictures are written in; empty: sRGB, untold.
        exif: for `Image.save`; empty: none.
        chunks: a PNG's own on colour, with their content.
        lost: what no format of picture keeps, in words.
    """

    profile: bytes = b""
    exif: bytes = b""
    chunks: tuple[tuple[bytes, bytes], ...] = ()
    lost: tuple[str, ...] = ()

    def options(self, kind: str) -> dict[str, Any]:
        """Give what `Image.save` wants for a picture of that kind: PNG, JPEG or WEBP."""
        options: dict[str, Any] = {}
        if self.profile:
            options["icc_profile"] = self.profile
        if self.exif and not self._exif_is_too_long(kind):
            options["exif"] = self.exif
        if kind == "PNG" and self.chunks:
            options["pnginfo"] = PngImagePlugin.PngInfo()
            for name, content in self.chunks:
                options["pnginfo"].add(name, content)
        return options

    def lost_in(self, kind: str, *, alpha: bool) -> tuple[str, ...]:
        """Say what is lost in a picture of that kind: words.

        Args:
            alpha: whether the source has transparent parts.
        """
        more = {
            "transparency (it lies on white now)": alpha and kind == "JPEG",
            "the PNG's gamma": kind != "PNG" and any(name != b"sRGB" for name, _ in self.chunks),
            "EXIF": self._exif_is_too_long(kind),
        }
        return (*self.lost, *(words for words, is_lost in more.items() if is_lost))

    def _exif_is_too_long(self, kind: str) -> bool:
        return kind == "JPEG" and len(self.exif) > MAX_JPEG_EXIF_BYTES


def read_carried(data: bytes, *, size: tuple[int, int], max_pixels: int) -> Carried:
    """Read what a source's file carries, from its header.

    Args:
        size: width and height in px, upright.

    Raises:
        PhotoError: it is no picture.
    """
    with open_header(data, max_pixels=max_pixels) as image:
        found = image.info.get("icc_profile")
        profile, loss = _profile(found, kind_of(image.mode))
        deep = max(bits_a_channel(image, data), 16 if image.mode.startswith(("I", "F")) else 8)
        try:
            exif = _exif(read_exif(image), size)
        except MemoryError:
            raise
        except Exception:  # what Pillow reads it need not be able to write
            exif, loss = b"", (*loss, "EXIF (it is damaged)")
        chunks = _colour_chunks(data) if not found else ()
        return Carried(profile, exif, chunks, (*loss, *((f"{deep} bits a channel (now 8)",) if deep > 8 else ())))


def _profile(profile: bytes | None, kind: str) -> tuple[bytes, tuple[str, ...]]:
    """Choose the profile that the pictures are written with, and say what becomes of another one."""
    if kind in ("CMYK", "LAB"):
        return b"", (f"{kind} (now sRGB)",)
    if not profile:
        return b"", ()
    if own_space(profile, kind) or is_srgb(profile):
        return profile, ()
    if one_way(profile, kind) is not None:
        return b"", (f"the colour profile, a {'grey one' if kind == 'L' else 'look-up table'} (now sRGB)",)
    return b"", ("the colour profile (it is damaged, or not for such pixels)",)


def _exif(exif: Mapping[int, Any] | None, size: tuple[int, int]) -> bytes:
    """Keep the EXIF that is still true of an edited, upright picture."""
    if not isinstance(exif, Image.Exif):
        return b""
    kept = Image.Exif()
    kept.update({tag: exif[tag] for tag in _KEPT_TAGS if tag in exif})
    for directory in (_EXIF, _GPS):
        inner = {tag: value for tag, value in exif.get_ifd(directory).items()}
        for tag in (_MAKER_NOTE, _INTEROPERABILITY) if directory == _EXIF else ():
            inner.pop(tag, None)
        if directory == _EXIF:
            inner.update({tag: px for tag, px in zip((_WIDTH, _HEIGHT), size, strict=True) if tag in inner})
        if inner:
            kept.get_ifd(directory).update(inner)
    return kept.tobytes() if len(kept) or kept.get_ifd(_EXIF) or kept.get_ifd(_GPS) else b""


def _colour_chunks(data: bytes) -> tuple[tuple[bytes, bytes], ...]:
    """Read a PNG's chunks on colour, which come before its pixels."""
    found: list[tuple[bytes, bytes]] = []
    place = 8
    while data.startswith(b"\x89PNG") and place + 12 <= len(data) and data[place + 4 : place + 8] != b"IDAT":
        size, name = int.from_bytes(data[place : place + 4]), data[place + 4 : place + 8]
        if name in _PNG_COLOUR and name not in dict(found):
            found.append((name, data[place + 8 : place + 8 + size]))
        place += 12 + size
    return tuple(found)
