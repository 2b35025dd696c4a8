"""Small pictures with smooth edges, as PNG bytes: Tk draws curves with steps on X11."""

from __future__ import annotations

import math
import struct
import zlib
from dataclasses import dataclass
from itertools import pairwise


@dataclass(frozen=True, slots=True)
class RoundedBox:
    """A box with round corners, in pixels; colours as ``#rrggbb``."""

    width: int
    height: int
    radius: float
    fill: str
    border: str = ""
    border_width: float = 0.0
    ticked: bool = False
    """With a white check mark."""

    def png(self, crop: tuple[int, int, int, int] | None = None) -> bytes:
        """Return the picture, or the part of it inside ``crop`` (left, top, right, bottom)."""
        left, top, right, bottom = crop or (0, 0, self.width, self.height)
        rows = (b"".join(self._pixel(x, y) for x in range(left, right)) for y in range(top, bottom))
        return png(right - left, bottom - top, list(rows))

    def _pixel(self, x: int, y: int) -> bytes:
        distance = self._outside(x + 0.5, y + 0.5)
        inner = _clamp(0.5 - distance - self.border_width)
        fill, border = _rgb(self.fill), _rgb(self.border or self.fill)
        mixed = [b + (f - b) * inner for f, b in zip(fill, border, strict=True)]
        tick = self._tick(x + 0.5, y + 0.5) if self.ticked else 0.0
        colour = [round(value + (255 - value) * tick) for value in mixed]
        return bytes((*colour, round(255 * _clamp(0.5 - distance))))

    def _tick(self, x: float, y: float) -> float:
        """How much of a point the check mark covers."""
        corners = [(0.25, 0.52), (0.43, 0.70), (0.76, 0.32)]
        ends = [(across * self.width, down * self.height) for across, down in corners]
        nearest = min(_distance(x, y, *one, *other) for one, other in pairwise(ends))
        return _clamp(self.width * 0.06 + 0.5 - nearest)

    def _outside(self, x: float, y: float) -> float:
        """How far a point is outside the edge; negative inside."""
        dx = abs(x - self.width / 2) - self.width / 2 + self.radius
        dy = abs(y - self.height / 2) - self.height / 2 + self.radius
        return math.hypot(max(dx, 0), max(dy, 0)) + min(max(dx, dy), 0) - self.radius


def _distance(x: float, y: float, x0: float, y0: float, x1: float, y1: float) -> float:
    """How far a point is from a line between two others."""
    dx, dy = x1 - x0, y1 - y0
    along = _clamp(((x - x0) * dx + (y - y0) * dy) / (dx * dx + dy * dy))
    return math.hypot(x - x0 - along * dx, y - y0 - along * dy)


def _clamp(value: float) -> float:
    return min(1.0, max(0.0, value))


def _rgb(colour: str) -> tuple[int, int, int]:
    return int(colour[1:3], 16), int(colour[3:5], 16), int(colour[5:7], 16)


def png(width: int, height: int, rows: list[bytes]) -> bytes:
    """Return the PNG of rows of pixels, each four bytes: red, green, blue, opacity."""
    header = struct.pack(">IIBBBBB", width, height, 8, 6, 0, 0, 0)
    data = zlib.compress(b"".join(b"\0" + row for row in rows))
    chunks = [(b"IHDR", header), (b"IDAT", data), (b"IEND", b"")]
    body = b"".join(
        struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))
        for kind, content in chunks
    )
    return b"\x89PNG\r\n\x1a\n" + body
