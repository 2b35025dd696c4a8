"""Pictures of people and groups, made from their numbers: with other keys they look different."""

from __future__ import annotations

import colorsys

from PIL import Image

from iirs.client.messenger.safety_number import Identicon
from iirs.client.model.talk import Talk
from iirs.client.window.theme.shapes import disc_mask, png

_LIGHTNESS = 0.42
"""Dark enough for a white letter on it, light enough to be seen on dark ground."""


def number_of(talk: Talk) -> str:
    """Return what a talk's picture is made from: a person's safety number, or a group's key."""
    return talk.number or talk.peer


def paint(picture: Identicon, size: int) -> bytes:
    """Return a round PNG of ``size`` pixels: darker ground, lighter cells, smooth at its edge."""
    ground = _colour(picture.hue, _LIGHTNESS - 0.07)
    cell = _colour(picture.hue + 0.06, _LIGHTNESS + 0.07)
    count = len(picture.cells)
    cells = Image.new("RGB", (count, count))
    cells.putdata([cell if is_set else ground for row in picture.cells for is_set in row])
    round_picture = cells.resize((size, size), Image.Resampling.NEAREST)
    round_picture.putalpha(disc_mask(size))
    return png(round_picture)


def _colour(hue: float, lightness: float) -> tuple[int, int, int]:
    red, green, blue = colorsys.hls_to_rgb(hue % 1.0, lightness, 0.45)
    return round(255 * red), round(255 * green), round(255 * blue)
