"""Pictures that somebody sent, made small and harmless: nothing of a file comes through but its pixels."""

from __future__ import annotations

import io

from iirs.client.pictures.decoder import Decoder, Task, UndecodedError, Why

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
