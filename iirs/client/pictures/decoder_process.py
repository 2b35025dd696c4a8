"""A picture made small, in a process that has nothing else of this program: a decoder may be led astray.

``python -I decoder_process.py LONGEST`` reads a picture from standard input, writes a PNG to standard output.
"""

from __future__ import annotations

import io
import sys
from contextlib import suppress

from PIL import Image

FORMATS = ("PNG", "JPEG", "GIF", "WEBP")
PIXELS_MAX = 20_000_000
_MEMORY = 512 * 1024 * 1024


def shrink(data: bytes, longest: int) -> bytes:
    """Return a PNG of at most ``longest`` pixels a side. Raises whatever the decoder raises."""
    Image.MAX_IMAGE_PIXELS = None  # looked at here, before anything is decoded
    with Image.open(io.BytesIO(data), formats=FORMATS) as picture:
        if picture.width * picture.height > PIXELS_MAX:
            raise ValueError("a picture with too many pixels")
        picture.draft("RGB", (longest, longest))
        small = picture.convert("RGBA")
    small.thumbnail((longest, longest))
    written = io.BytesIO()
    small.save(written, "PNG")
    return written.getvalue()


def _limit_memory() -> None:
    with suppress(ImportError, ValueError, OSError):
        import resource  # noqa: PLC0415  # only on POSIX

        resource.setrlimit(resource.RLIMIT_AS, (_MEMORY, _MEMORY))


if __name__ == "__main__":
    _limit_memory()
    sys.stdout.buffer.write(shrink(sys.stdin.buffer.read(), int(sys.argv[1])))
