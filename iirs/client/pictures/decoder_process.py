"""One picture, decoded in a process that has nothing else of this program: a decoder may be led astray.

``python -I -S decoder_process.py TASK SIDE SECONDS FOLDER...`` reads 8 bytes, the length of a picture, and
the picture from standard input. ``small`` answers on standard output with the picture, at most SIDE pixels a
side: width and height, 2 bytes each, then red, green, blue and opacity of each pixel, and so nothing else
that the sender put into the file. ``code`` answers with the text of the QR code in it, in UTF-8; ``bare``
with the file, but for what a camera wrote into it. It works for SECONDS of CPU time at most, and ends when
its standard input does. FOLDERs are where the libraries lie.

Exit status: 0 with an answer, ``TOO_LARGE``, ``NO_CODE``; any other: this is no picture that can be read.
"""

from __future__ import annotations

import copy
import io
import os
import sys
import threading
import warnings
from contextlib import suppress

if __name__ == "__main__":
    sys.path += sys.argv[4:]

# All that Pillow imports when it is needed is imported now: later no file can be opened any more. Cameras put
# several pictures into a JPEG (MPO), and which way is up as TIFF does (EXIF).
from PIL import (
    Image,
    ImageColor,
    ImageFile,
    ImageOps,
    ImagePalette,
    MpoImagePlugin,
    TiffImagePlugin,
    TiffTags,
    WebPImagePlugin,
)

Image.preinit()
_LATER = (
    copy,
    ImageColor,
    ImageFile,
    ImagePalette,
    MpoImagePlugin,
    TiffImagePlugin,
    TiffTags,
    WebPImagePlugin,
)
FORMATS = ("PNG", "JPEG", "GIF", "WEBP")
PIXELS_MAX = 20_000_000
TOO_LARGE, NO_CODE, NOBODY_WAITS = 3, 4, 5
MEMORY_MAX = 512 * 1024 * 1024


class _CannotError(Exception):
    """There is no answer; ``status`` says why."""

    def __init__(self, status: int) -> None:
        super().__init__()
        self.status = status


def small(data: bytes, longest: int) -> bytes:
    """Return the pixels of a picture of at most ``longest`` a side. Raises whatever the decoder raises."""
    with _opened(data) as picture:
        picture.draft("RGB", (longest, longest))
        shrunk = picture.convert("RGBA")
    shrunk.thumbnail((longest, longest))
    with suppress(Exception):  # where it is not known which way is up, it stays as it is
        shrunk = ImageOps.exif_transpose(shrunk)
    return b"".join(side.to_bytes(2, "big") for side in shrunk.size) + shrunk.tobytes()


def code(data: bytes) -> bytes:
    """Return the text of the QR code in a picture. Raises whatever the decoder raises."""
    import zxingcpp  # noqa: PLC0415  # large, and needed by one button only

    with _opened(data) as picture:
        grey = picture.convert("L")
    found = zxingcpp.read_barcodes(grey, formats=zxingcpp.BarcodeFormats(zxingcpp.BarcodeFormat.QRCode))
    if not found:
        raise _CannotError(NO_CODE)
    return str(found[0].text).encode("utf-8", "replace")


def _opened(data: bytes) -> Image.Image:
    Image.MAX_IMAGE_PIXELS = None  # looked at here, before anything is decoded
    picture = Image.open(io.BytesIO(data), formats=FORMATS)
    if picture.width * picture.height > PIXELS_MAX:
        raise _CannotError(TOO_LARGE)
    return picture


def limit(seconds: int) -> None:
    """Give away, for good, what decoding does not need. Each system can do some of it."""
    try:
        import resource  # noqa: PLC0415  # only on POSIX
    except ImportError:
        return
    limits = {"CPU": seconds, "AS": MEMORY_MAX, "NOFILE": 0, "FSIZE": 0, "NPROC": 0, "CORE": 0}
    for name, most in limits.items():
        with suppress(AttributeError, ValueError, OSError):
            resource.setrlimit(getattr(resource, f"RLIMIT_{name}"), (most, most))


def _end_with_standard_input() -> None:
    """Whoever asked keeps it open; where they are gone nobody waits for an answer."""
    os.read(sys.stdin.fileno(), 1)
    os._exit(NOBODY_WAITS)


def _answer(task: str, side: int, seconds: int) -> int:
    data = sys.stdin.buffer.read(int.from_bytes(sys.stdin.buffer.read(8), "big"))
    threading.Thread(target=_end_with_standard_input, daemon=True).start()
    warnings.simplefilter("ignore")
    if task == "code":
        import zxingcpp  # noqa: F401, PLC0415  # as above: later it cannot be
    if task == "bare":
        import bare_pictures  # type: ignore[import-not-found]  # noqa: PLC0415  # beside this file
    limit(seconds)
    try:
        if task == "bare":
            answer = bare_pictures.bare(data)
        else:
            answer = code(data) if task == "code" else small(data, side)
    except _CannotError as error:
        return error.status
    sys.stdout.buffer.write(answer)
    sys.stdout.buffer.flush()
    return 0


if __name__ == "__main__":
    os._exit(_answer(sys.argv[1], int(sys.argv[2]), int(sys.argv[3])))
