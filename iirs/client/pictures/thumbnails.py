"""Pictures: those somebody sent made small and harmless, of a file nothing comes through but its pixels; and
our own without what a camera wrote into them.
"""

from __future__ import annotations

import io

from iirs.client.pictures.decoder import Decoder, Task, UndecodedError, Why
from iirs.errors import AccountError

_ORIENTATION_MAX = 64
"""Which way is up, written anew, may take more bytes than what was left out."""
_STARTS = (b"\x89PNG\r\n\x1a\n", b"\xff\xd8\xff", b"GIF8")


def may_be_picture(data: bytes) -> bool:
    """Whether it is worth a process to look: data of the formats we show begins like this."""
    return data.startswith(_STARTS) or (data[:4] == b"RIFF" and data[8:12] == b"WEBP")


def thumbnail(data: bytes, longest: int, decoder: Decoder | None = None) -> bytes:
    """Return a PNG of at most ``longest`` pixels a side, or b"" if this is no picture we show. Blocks.

    It is written here, from pixels: not a byte of it, no profile, comment or place, is the sender's choice.
    """
    if not may_be_picture(data):
        return b""
    import PIL  # noqa: PLC0415  # a terminal does without

    task = Task("small", longest, 4 + 4 * longest * longest, (PIL,))
    try:
        return _png((decoder or Decoder()).decode(task, data), longest)
    except UndecodedError:
        return b""


def without_metadata(data: bytes, decoder: Decoder | None = None) -> bytes:
    """Return a picture of ours without where and when it was taken; what is no picture as it is. Blocks.

    Raises ``AccountError`` if that cannot be left out: then it is not sent.
    """
    if not may_be_picture(data):
        return data
    import PIL  # noqa: PLC0415  # as above

    from iirs.client.pictures import bare_pictures  # noqa: PLC0415  # needs PIL

    task = Task("bare", 0, len(data) + _ORIENTATION_MAX, (PIL, bare_pictures))
    try:
        return (decoder or Decoder()).decode(task, data)
    except UndecodedError as error:
        raise AccountError(
            "This picture is damaged, so what the camera wrote into it cannot be left out. To send it as it "
            "is, put it into an archive (zip)."
        ) from error


def _png(answer: bytes, longest: int) -> bytes:
    """Return an answer's pixels as PNG: it may come from a process that was led astray."""
    from PIL import Image  # noqa: PLC0415  # as above

    width, height = int.from_bytes(answer[:2], "big"), int.from_bytes(answer[2:4], "big")
    fits = 0 < width <= longest and 0 < height <= longest and len(answer) == 4 + 4 * width * height
    if not fits:
        raise UndecodedError(Why.UNREADABLE)
    written = io.BytesIO()
    Image.frombytes("RGBA", (width, height), answer[4:]).save(written, "PNG", compress_level=1)
    return written.getvalue()
