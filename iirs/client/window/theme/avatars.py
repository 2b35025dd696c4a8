"""Pictures of people and groups, made from their numbers: with other keys they look different."""

from __future__ import annotations

import colorsys
import math

from iirs.client.messenger.safety_number import Identicon
from iirs.client.model.talk import Talk
from iirs.client.window.theme.shapes import png

_LIGHTNESS = 0.42
"""Dark enough for a white letter on it, light enough to be seen on dark ground."""


def number_of(talk: Talk) -> str:
    """Return what a talk's picture is made from: a person's safety number, or a group's key."""
    return talk.number or talk.peer


def paint(picture: Identicon, size: int) -> bytes:
    """Return a round PNG of ``size`` pixels: darker ground, lighter cells, smooth at its edge."""
    ground = _colour(picture.hue, _LIGHTNESS - 0.07)
    cell = _colour(picture.hue + 0.06, _LIGHTNESS + 0.07)
    count, middle = len(picture.cells), size / 2
    rows = []
    for y in range(size):
        row = bytearray()
        cells = picture.cells[min(count - 1, y * count // size)]
        for x in range(size):
            edge = middle - math.hypot(x + 0.5 - middle, y + 0.5 - middle)
            alpha = round(255 * min(1.0, max(0.0, edge + 0.5)))
            row += bytes((*(cell if cells[min(count - 1, x * count // size)] else ground), alpha))
        rows.append(bytes(row))
    return png(size, size, rows)


def _colour(hue: float, lightness: float) -> tuple[int, int, int]:
    red, green, blue = colorsys.hls_to_rgb(hue % 1.0, lightness, 0.45)
    return round(255 * red), round(255 * green), round(255 * blue)
