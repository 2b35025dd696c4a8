"""QR codes: drawn for a screen, and read from a picture."""

from __future__ import annotations

import io
from pathlib import Path

import segno

from iirs.errors import AccountError

PIXELS_MAX = 20_000_000
_BYTES_MAX = 20 * 1024 * 1024
_QUIET_ZONE = 4


def qr_png(text: str, module: int) -> bytes:
    """Return the QR code of a text as a PNG, ``module`` pixels a dot, dark on light whatever the theme."""
    written = io.BytesIO()
    segno.make_qr(text, error="m").save(written, kind="png", scale=max(1, module), border=_QUIET_ZONE)
    return written.getvalue()


def read_qr(path: Path) -> str:
    """Return the text of the QR code in a picture. Raises ``AccountError`` with the sentence to show."""
    import zxingcpp  # noqa: PLC0415  # large, and needed by one button only
    from PIL import Image  # noqa: PLC0415

    Image.MAX_IMAGE_PIXELS = None  # the size is looked at here, before anything is decoded
    try:
        if path.stat().st_size > _BYTES_MAX:
            raise AccountError("This picture is too large.")
        with Image.open(path, formats=("PNG", "JPEG", "GIF", "WEBP", "BMP")) as picture:
            if picture.width * picture.height > PIXELS_MAX:
                raise AccountError("This picture is too large.")
            grey = picture.convert("L")
    except (OSError, ValueError, SyntaxError) as error:
        raise AccountError("This file is no picture that can be read.") from error
    found = zxingcpp.read_barcodes(grey, formats=zxingcpp.BarcodeFormats(zxingcpp.BarcodeFormat.QRCode))
    if not found:
        raise AccountError("There is no QR code to be found in this picture.")
    return str(found[0].text)
