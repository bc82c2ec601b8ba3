"""SVG: places and texts -> the shapes of a chart, and axes to place them on.

Whatever is given is text, never markup. Shapes take the page's font and text colour; none has an id, style or script.
"""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from markupsafe import Markup

COLOURS = ("#3b8ea5", "#d1495b", "#c98a00", "#9a6fb8", "#4c9f50", "#a07d68", "#5b84d6", "#c060a1")  # on light and dark
FONT = 13


@dataclass(frozen=True)
class Axis:
    """A range of values and where they lie, px from `start` to `end`."""

    least: float
    most: float
    start: float
    end: float
    ticks: tuple[float, ...]
    logarithmic: bool = False

    def place(self, value: float) -> float:
        """Find where a value lies, in px."""
        least, most = self._even(self.least), self._even(self.most)
        return self.start + (self._even(value) - least) / (most - least) * (self.end - self.start)

    def _even(self, value: float) -> float:
        return math.log10(value) if self.logarithmic else value


def nice_ticks(least: float, most: float, *, about: int) -> tuple[float, ...]:
    """Choose round values from at most `least` to at least `most`, about so many of them; least < most."""
    raw = (most - least) / about
    power = 10.0 ** math.floor(math.log10(raw))
    spacing = next(power * factor for factor in (1, 2, 5, 10) if raw <= power * factor * (1 + 1e-9))
    first, last = math.floor(least / spacing + 1e-9), math.ceil(most / spacing - 1e-9)
    return tuple(number * spacing for number in range(first, last + 1))


def colour_of(number: int) -> str:
    """Choose the colour of the series of that number; they repeat."""
    return COLOURS[number % len(COLOURS)]


def figure(width: float, height: float, label: str, shapes: Iterable[Markup]) -> Markup:
    """Put shapes into an `<svg>`; the label is what a screen reader says of it."""
    svg = Markup(
        '<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {} {}" role="img" aria-label="{}" font-size="{}"'
        ' fill="currentColor">\n{}\n</svg>'
    )
    return svg.format(width, height, clean(label), FONT, Markup("\n").join(shapes))


def polyline(
    points: Sequence[tuple[float, float]], colour: str, *, width: float, opacity: float = 1.0, dashes: str = "none"
) -> Markup:
    """Draw a line through points, px."""
    places = " ".join(f"{across:.1f},{down:.1f}" for across, down in points)
    return Markup(
        '<polyline points="{}" fill="none" stroke="{}" stroke-width="{}" stroke-opacity="{}" stroke-dasharray="{}"/>'
    ).format(places, colour, width, opacity, dashes)


def line(x1: float, y1: float, x2: float, y2: float, *, opacity: float) -> Markup:
    """Draw a straight line in the text's colour, px."""
    shape = Markup('<line x1="{:.1f}" y1="{:.1f}" x2="{:.1f}" y2="{:.1f}" stroke="currentColor" stroke-opacity="{}"/>')
    return shape.format(x1, y1, x2, y2, opacity)


def bar(x: float, y: float, width: float, height: float, colour: str) -> Markup:
    """Draw a filled rectangle, px."""
    shape = Markup('<rect x="{:.1f}" y="{:.1f}" width="{:.1f}" height="{:g}" fill="{}"/>')
    return shape.format(x, y, width, height, colour)


def dot(x: float, y: float, colour: str, *, radius: float = 2.5, opacity: float = 1.0) -> Markup:
    """Draw a dot, px."""
    see_through = Markup(' fill-opacity="{}"').format(opacity) if opacity < 1 else ""
    shape = Markup('<circle cx="{:.1f}" cy="{:.1f}" r="{}" fill="{}"{}/>')
    return shape.format(x, y, radius, colour, see_through)


def text(x: float, y: float, words: str, *, anchor: str = "start", title: str = "") -> Markup:
    """Write words from (x, y) on, px; `title` is shown where the pointer rests."""
    hover = Markup("<title>{}</title>").format(clean(title)) if title else ""
    shape = Markup('<text x="{:.1f}" y="{:.1f}" text-anchor="{}">{}{}</text>')
    return shape.format(x, y, anchor, hover, clean(words))


def clean(words: str) -> str:
    """Replace control characters, which XML does not allow."""
    return "".join(letter if letter.isprintable() else "\N{REPLACEMENT CHARACTER}" for letter in words)
