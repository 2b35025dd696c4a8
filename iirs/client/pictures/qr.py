"""QR codes: drawn for a screen, and read from a picture."""

from __future__ import annotations

import io
from pathlib import Path

import segno

from iirs.client.pictures.decoder import Decoder, Task, UndecodedError, Why
from iirs.errors import AccountError

_BYTES_MAX = 20 * 1024 * 1024
_TEXT_MAX = 16 * 1024
"""More than a QR code can hold, in bytes."""
_QUIET_ZONE = 4


def qr_png(text: str, module: int) -> bytes:
    """Return the QR code of a text as a PNG, ``module`` pixels a dot, dark on light whatever the theme."""
    written = io.BytesIO()
    segno.make_qr(text, error="m").save(written, kind="png", scale=max(1, module), border=_QUIET_ZONE)
    return written.getvalue()


def read_qr(path: Path, decoder: Decoder | None = None) -> str:
    """Return the text of the QR code in a picture. Blocks. Raises ``AccountError``: what to show."""
    import PIL  # noqa: PLC0415  # large, and needed by one button only
    import zxingcpp  # noqa: PLC0415

    try:
        data = _read(path)
        text = (decoder or Decoder()).decode(Task("code", 0, _TEXT_MAX, (PIL, zxingcpp)), data)
    except OSError as error:
        raise _refused(Why.UNREADABLE) from error
    except UndecodedError as error:
        raise _refused(error.why) from error
    return text.decode("utf-8", "replace")


def _read(path: Path) -> bytes:
    if not path.is_file():  # of a pipe or a device there may be no end
        raise UndecodedError(Why.UNREADABLE)
    with path.open("rb") as file:
        data = file.read(_BYTES_MAX + 1)
    if len(data) > _BYTES_MAX:
        raise UndecodedError(Why.TOO_LARGE)
    return data


def _refused(why: Why) -> AccountError:
    match why:
        case Why.TOO_LARGE:
            return AccountError("This picture is too large.")
        case Why.NO_CODE:
            return AccountError("There is no QR code to be found in this picture.")
        case Why.ENDED:
            return AccountError("This picture takes too long to read.")
        case Why.UNREADABLE:
            return AccountError("This file is no picture that can be read.")
