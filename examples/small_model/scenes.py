"""Scenes: a generator -> a picture of one textured object on a textured ground, and the object's box.

Drawn by arithmetic alone, so that nobody holds rights in them.
"""

import colorsys
from collections.abc import Callable

import cv2
import numpy as np
from numpy.typing import NDArray

from pipeline.arrays import Pixels, Sides

Field = NDArray[np.floating]
"""[h, w] or [h, w, 3], mostly in 0..1."""
Colour = NDArray[np.floating]
"""[3] sRGB in 0..1."""
SMALLEST, LARGEST = 0.25, 0.7  # the object's sides, in sides of the picture
_SHADOW = 0.45


def draw_scene(rng: np.random.Generator, side: int) -> tuple[Pixels, Sides, str]:
    """Draw a scene.

    Returns:
        [side, side, 3] uint8 sRGB; the object's box (left, top, right, bottom in 0..1); the shape's name.
    """
    ground = _texture(rng, side, contrast=0.5)
    name = str(rng.choice(sorted(SHAPES)))
    shape = _place(SHAPES[name](rng, side), rng, side)
    surface = _texture(rng, side, contrast=1.0) * _shading(shape, rng)[..., None]
    shadow = cv2.GaussianBlur(np.roll(shape, side // 24, axis=(0, 1)), (0, 0), side / 32)[..., None]
    ground = ground * (1 - _SHADOW * shadow)
    edge = cv2.GaussianBlur(shape, (0, 0), 0.7)[..., None]
    scene: Field = ground + edge * (surface - ground) + rng.normal(0, 0.01, (side, side, 1)).astype(np.float32)
    rows, columns = np.flatnonzero((shape > 0.5).any(axis=1)), np.flatnonzero((shape > 0.5).any(axis=0))
    box = (columns[0] / side, rows[0] / side, (columns[-1] + 1) / side, (rows[-1] + 1) / side)
    return (scene.clip(0, 1) * 255).round().astype(np.uint8), box, name


def _texture(rng: np.random.Generator, side: int, *, contrast: float) -> Field:
    """Mix two colours by a pattern: [side, side, 3]."""
    pattern = PATTERNS[rng.integers(len(PATTERNS))](rng, side)
    one = _colour(rng)
    other = one + contrast * rng.uniform(0.3, 1) * (_colour(rng) - one)
    mixed: Field = one + pattern.clip(0, 1)[..., None] * (other - one)
    return mixed.astype(np.float32)


def _colour(rng: np.random.Generator) -> Colour:
    hue, saturation, value = rng.random(), rng.beta(1.5, 1.5), rng.uniform(0.15, 1)
    return np.array(colorsys.hsv_to_rgb(hue, saturation, value), np.float32)


def _turned(rng: np.random.Generator, side: int) -> tuple[Field, Field]:
    """Give coordinates along and across a random direction, in sides of the picture."""
    angle = rng.uniform(0, 2 * np.pi)
    y, x = (np.mgrid[:side, :side] / side - 0.5).astype(np.float32)
    return np.cos(angle) * x + np.sin(angle) * y, np.cos(angle) * y - np.sin(angle) * x


def _gradient(rng: np.random.Generator, side: int) -> Field:
    along, _ = _turned(rng, side)
    return along * rng.uniform(0.5, 1.4) + 0.5


def _clouds(rng: np.random.Generator, side: int) -> Field:
    """Sum noise of falling size and strength."""
    total = np.zeros((side, side), np.float32)
    first, roughness = int(rng.integers(2, 5)), rng.uniform(0.4, 0.8)
    for octave in range(5):
        cells = min(first * 2**octave, side)
        noise = rng.random((cells, cells), np.float32) - 0.5
        total += roughness**octave * cv2.resize(noise, (side, side), interpolation=cv2.INTER_CUBIC)
    return total + 0.5


def _stripes(rng: np.random.Generator, side: int) -> Field:
    along, across = _turned(rng, side)
    waves = along + rng.uniform(0, 0.06) * np.sin(across * rng.uniform(5, 30))
    return _steep(np.sin(waves * rng.uniform(20, 110)), rng)


def _checks(rng: np.random.Generator, side: int) -> Field:
    along, across = _turned(rng, side)
    count = rng.uniform(20, 80)
    return _steep(np.sin(along * count) * np.sin(across * count * rng.uniform(0.6, 1.6)), rng)


def _dots(rng: np.random.Generator, side: int) -> Field:
    along, across = _turned(rng, side)
    count = rng.uniform(25, 90)
    return _steep(np.cos(along * count) + np.cos(across * count) - rng.uniform(0.2, 1.2), rng)


def _rings(rng: np.random.Generator, side: int) -> Field:
    along, across = _turned(rng, side)
    radius = np.hypot(along + rng.uniform(-0.5, 0.5), across * rng.uniform(0.3, 1)) + 0.03 * _clouds(rng, side)
    return _steep(np.sin(radius * rng.uniform(30, 120)), rng)


def _grain(rng: np.random.Generator, side: int) -> Field:
    """Stretch noise along a direction, as in wood, cloth and grass."""
    cells = (int(rng.integers(4, 12)), int(rng.integers(40, 160)))
    noise = cv2.resize(rng.random(cells, np.float32), (side, side), interpolation=cv2.INTER_LINEAR)
    turn = cv2.getRotationMatrix2D((side / 2, side / 2), rng.uniform(0, 360), 1.0)
    turned: Field = cv2.warpAffine(noise, turn, (side, side), borderMode=cv2.BORDER_REFLECT)  # type: ignore[assignment]
    return turned


def _steep(wave: Field, rng: np.random.Generator) -> Field:
    """Turn a wave around 0 to 0..1, softly or with hard edges."""
    steep: Field = (1 / (1 + np.exp(-wave * rng.uniform(2, 14)))).astype(np.float32)
    return steep


def _ellipse(rng: np.random.Generator, side: int) -> Field:
    x, y = _turned(rng, side)
    return _inside(2 - (np.abs(x / 0.5) ** 2 + np.abs(y / rng.uniform(0.25, 0.5)) ** 2 + 1))


def _box(rng: np.random.Generator, side: int) -> Field:
    x, y = _turned(rng, side)
    power = rng.uniform(4, 12)
    return _inside(1 - np.abs(x / 0.42) ** power - np.abs(y / rng.uniform(0.2, 0.42)) ** power)


def _blob(rng: np.random.Generator, side: int) -> Field:
    x, y = _turned(rng, side)
    angle = np.arctan2(y, x)
    waves = [rng.uniform(0, 0.09) * np.sin(k * angle + rng.uniform(0, 2 * np.pi)) for k in range(2, 7)]
    return _inside(0.36 + np.sum(waves, axis=0) - np.hypot(x, y))


def _star(rng: np.random.Generator, side: int) -> Field:
    x, y = _turned(rng, side)
    points, depth = int(rng.integers(3, 9)), rng.uniform(0.05, 0.16)
    return _inside(0.34 + depth * np.cos(points * np.arctan2(y, x)) - np.hypot(x, y))


def _bottle(rng: np.random.Generator, side: int) -> Field:
    x, y = _turned(rng, side)
    neck = rng.uniform(-0.2, 0.1)
    half_width = np.where(y < neck, 0.09, 0.24) * rng.uniform(0.8, 1.2)
    smooth = cv2.GaussianBlur(half_width.astype(np.float32), (0, 0), side / 24)
    return _inside(np.minimum(smooth - np.abs(x), 0.48 - np.abs(y)))


def _inside(distance: Field) -> Field:
    return (distance > 0).astype(np.float32)


def _place(shape: Field, rng: np.random.Generator, side: int) -> Field:
    """Shrink a shape that fills the picture, and put it anywhere in it."""
    scale = rng.uniform(SMALLEST, LARGEST)
    free = (1 - scale) * side
    move = np.array([[scale, 0, free * rng.random()], [0, scale, free * rng.random()]], np.float32)
    placed: Field = cv2.warpAffine(shape, move, (side, side), flags=cv2.INTER_AREA)  # type: ignore[assignment]
    return placed


def _shading(shape: Field, rng: np.random.Generator) -> Field:
    """Light a body from one side: its rim is darker, [side, side] around 1."""
    side = len(shape)
    body = cv2.GaussianBlur(shape, (0, 0), side / 14)
    light = cv2.Sobel(body, cv2.CV_32F, 1, 0) * rng.uniform(-1, 1) + cv2.Sobel(body, cv2.CV_32F, 0, 1)
    shaded: Field = 0.55 + 0.45 * body + rng.uniform(0.5, 2.5) * light
    return shaded


PATTERNS: tuple[Callable[[np.random.Generator, int], Field], ...] = (
    *(_gradient, _clouds, _clouds, _stripes, _checks, _dots, _rings, _grain),
)
SHAPES: dict[str, Callable[[np.random.Generator, int], Field]] = {
    "ellipse": _ellipse,
    "box": _box,
    "blob": _blob,
    "star": _star,
    "bottle": _bottle,
}
