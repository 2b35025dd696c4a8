"""Small pictures with smooth edges, as PNG bytes: Tk draws curves with steps on X11.

Pillow draws them several times as large; made small again, each edge covers a part of its pixels.
"""

from __future__ import annotations

import io
from collections.abc import Callable
from dataclasses import dataclass

from PIL import Image, ImageDraw

_FINER = 8
_TICK = ((0.25, 0.52), (0.43, 0.70), (0.76, 0.32))
"""The corners of a check mark, as parts of a box's width and height."""
_TICK_WIDTH = 0.12


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
        size = (self.width, self.height)
        picture = Image.new("RGB", size, self.border or self.fill)
        picture.paste(self.fill, mask=smooth_mask(size, lambda draw: self._draw_box(draw, self.border_width)))
        if self.ticked:
            picture.paste("white", mask=smooth_mask(size, self._draw_tick))
        picture.putalpha(smooth_mask(size, lambda draw: self._draw_box(draw, 0)))
        return png(picture.crop(crop) if crop is not None else picture)

    def _draw_box(self, draw: ImageDraw.ImageDraw, inset: float) -> None:
        left = round(inset * _FINER)
        right, bottom = self.width * _FINER - left - 1, self.height * _FINER - left - 1
        if right > left and bottom > left:
            draw.rounded_rectangle(
                (left, left, right, bottom), max(0, self.radius - inset) * _FINER, fill=255
            )

    def _draw_tick(self, draw: ImageDraw.ImageDraw) -> None:
        width, height = self.width * _FINER, self.height * _FINER
        thick = round(_TICK_WIDTH * width)
        corners = [(across * width, down * height) for across, down in _TICK]
        draw.line(corners, fill=255, width=thick)
        for x, y in corners:
            draw.ellipse((x - thick / 2, y - thick / 2, x + thick / 2, y + thick / 2), fill=255)


def smooth_mask(size: tuple[int, int], paint: Callable[[ImageDraw.ImageDraw], None]) -> Image.Image:
    """Return how much of each pixel is covered by what ``paint`` draws, ``_FINER`` times as large."""
    large = Image.new("L", (size[0] * _FINER, size[1] * _FINER))
    paint(ImageDraw.Draw(large))
    return large.reduce(_FINER)


def disc_mask(diameter: int) -> Image.Image:
    """Return how much of each pixel a disc covers that fills a square."""
    last = diameter * _FINER - 1
    return smooth_mask((diameter, diameter), lambda draw: draw.ellipse((0, 0, last, last), fill=255))


def png(picture: Image.Image) -> bytes:
    """Return a picture as PNG."""
    written = io.BytesIO()
    picture.save(written, "PNG")
    return written.getvalue()
