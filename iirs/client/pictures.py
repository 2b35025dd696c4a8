"""Pictures that somebody sent, made small and harmless: decoded in a process of its own, never by name.

A decoder that is led astray takes down a process that has nothing: no keys, no connection of ours; its time
is limited, and its memory where the system can do that.
"""

from __future__ import annotations

import io
import subprocess
import sys
from contextlib import suppress

FORMATS = ("PNG", "JPEG", "GIF", "WEBP")
PIXELS_MAX = 20_000_000
_SECONDS = 8.0
_MEMORY = 512 * 1024 * 1024
_STARTS = (b"\x89PNG\r\n\x1a\n", b"\xff\xd8\xff", b"GIF8", b"RIFF")


def may_be_picture(data: bytes) -> bool:
    """Whether it is worth a process to look: data of the formats we show begins like this."""
    return data.startswith(_STARTS)


def thumbnail(data: bytes, longest: int) -> bytes:
    """Return a PNG of at most ``longest`` pixels a side, or b"" if this is no picture we show. Blocks."""
    if not may_be_picture(data):
        return b""
    command = [sys.executable, "-I", "-m", "iirs.client.pictures", str(longest)]
    try:
        done = subprocess.run(command, input=data, capture_output=True, timeout=_SECONDS, check=False)  # noqa: S603  # our own program
    except (OSError, subprocess.TimeoutExpired):
        return b""
    return done.stdout if done.returncode == 0 else b""


def shrink(data: bytes, longest: int) -> bytes:
    """Return the small PNG; to be called in a process of its own. Raises whatever the decoder raises."""
    from PIL import Image  # noqa: PLC0415  # only this process needs it

    Image.MAX_IMAGE_PIXELS = PIXELS_MAX
    with Image.open(io.BytesIO(data), formats=FORMATS) as picture:
        if picture.width * picture.height > PIXELS_MAX:
            raise ValueError("a picture with too many pixels")
        picture.seek(0)
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
