"""Pictures for tests."""

from __future__ import annotations

import io

from PIL import Image


def png(colour: str, size: tuple[int, int] = (60, 40)) -> bytes:
    """Return a picture of one colour."""
    written = io.BytesIO()
    Image.new("RGB", size, colour).save(written, "PNG")
    return written.getvalue()
