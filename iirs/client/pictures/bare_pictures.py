"""A picture without what a camera or a program wrote beside it: where, when, by whom, with what, thumbnails.

Nothing is decoded, so no pixel changes: a file is copied part by part, and of each format only the parts that
say how the picture looks are taken. What comes after its end, further pictures of the same camera, is left
out. Which way is up is written anew. For ``decoder_process``, which imports it by its name alone.
"""

from __future__ import annotations

import re
import zlib
from collections.abc import Iterator

from PIL import Image

_ORIENTATION = 0x0112
_EXIF = b"Exif\0\0"
_JPEG_KEPT = {0xE2: (b"ICC_PROFILE\0",), 0xEE: (b"Adobe",)}
"""Of the segments that are for programs those that say what the colours are."""
_PNG = b"\x89PNG\r\n\x1a\n"
_PNG_KEPT = frozenset(
    b"IHDR PLTE IDAT IEND tRNS gAMA cHRM sRGB iCCP cICP sBIT bKGD pHYs acTL fcTL fdAT".split()
)
_WEBP_KEPT = frozenset({b"VP8 ", b"VP8L", b"VP8X", b"ALPH", b"ANIM", b"ANMF", b"ICCP"})
_WEBP_EXIF, _WEBP_XMP = 0x08, 0x04
_GIF_KEPT = (b"\x0bNETSCAPE2.0", b"\x0bANIMEXTS1.0")
"""Extensions by programs that say how often an animation is repeated."""
_AFTER_SCAN = re.compile(rb"\xff[^\x00\xd0-\xd7\xff]")


def bare(data: bytes) -> bytes:
    """Return a JPEG, PNG, WebP or GIF without metadata. Raises ``ValueError`` if it is none, or damaged."""
    if data.startswith(b"\xff\xd8"):
        return b"".join(_jpeg(data))
    if data.startswith(_PNG):
        return b"".join(_png(data))
    if data[:4] == b"RIFF" and data[8:12] == b"WEBP":
        return _webp(data)
    if data.startswith((b"GIF87a", b"GIF89a")):
        return b"".join(_gif(data))
    raise ValueError("no picture")


def _turned(exif: bytes) -> bytes:
    """Return Exif data that says which way is up and nothing else; b"" if it is the usual way."""
    said, written = Image.Exif(), Image.Exif()
    try:
        said.load(_EXIF + exif.removeprefix(_EXIF))
        turned = int(said.get(_ORIENTATION, 1))
    except Exception:  # a stranger's bytes, of which Pillow promises no errors: then nothing is said
        return b""
    if not 2 <= turned <= 8:
        return b""
    written[_ORIENTATION] = turned
    return written.tobytes().removeprefix(_EXIF)


def _cut(data: bytes, start: int, size: int) -> bytes:
    if size < 0 or start + size > len(data):
        raise ValueError("cut off")
    return data[start : start + size]


def _jpeg(data: bytes) -> Iterator[bytes]:
    segments = list(_segments(data))
    turned = next((_turned(part[4:]) for part in segments if part[4:10] == _EXIF and part[1] == 0xE1), b"")
    yield b"\xff\xd8"
    if turned:
        yield b"\xff\xe1" + (2 + len(_EXIF + turned)).to_bytes(2, "big") + _EXIF + turned
    for part in segments:
        kind, says = part[1], part[4:]
        if kind == 0xE0 and says.startswith(b"JFIF\0") and len(says) >= 14:
            yield b"\xff\xe0\0\x10" + says[:12] + b"\0\0"  # without its thumbnail
        elif not (0xE0 <= kind <= 0xEF or kind == 0xFE) or says.startswith(_JPEG_KEPT.get(kind, ())):
            yield part
    yield b"\xff\xd9"


def _segments(data: bytes) -> Iterator[bytes]:
    """Give a JPEG's segments between its beginning and its first end, each scan with what was coded in it."""
    place = 2
    while True:
        while _cut(data, place, 2) == b"\xff\xff":
            place += 1
        if data[place] != 0xFF:
            raise ValueError("no segment")
        if data[place + 1] == 0xD9:
            return
        end = place + 2 + int.from_bytes(_cut(data, place + 2, 2), "big")
        _cut(data, place + 4, end - place - 4)
        if data[place + 1] == 0xDA:
            after = _AFTER_SCAN.search(data, end)
            if after is None:
                yield data[place:]  # cut off: what there is of it is shown
                return
            end = after.start()
        yield data[place:end]
        place = end


def _png(data: bytes) -> Iterator[bytes]:
    yield _PNG
    place, kind = len(_PNG), b""
    while kind != b"IEND":
        size, kind = int.from_bytes(_cut(data, place, 4), "big"), _cut(data, place + 4, 4)
        chunk = _cut(data, place, 12 + size)
        place += len(chunk)
        if kind in _PNG_KEPT:
            yield chunk
        elif kind == b"eXIf" and (turned := _turned(chunk[8:-4])):
            yield len(turned).to_bytes(4, "big") + kind + turned
            yield zlib.crc32(kind + turned).to_bytes(4, "big")


def _webp(data: bytes) -> bytes:
    kept, turned, place = [], b"", 12
    end = min(8 + int.from_bytes(data[4:8], "little"), len(data))
    while place + 8 <= end:
        kind, size = data[place : place + 4], int.from_bytes(data[place + 4 : place + 8], "little")
        says = _cut(data, place + 8, size)
        place += 8 + size + size % 2
        if kind in _WEBP_KEPT:
            kept.append((kind, says))
        elif kind == b"EXIF":
            turned = _turned(says)
    if not kept:
        raise ValueError("no picture")
    if kept[0][0] == b"VP8X":
        flags = kept[0][1][:1]
        flags = (
            bytes([flags[0] & ~(_WEBP_EXIF | _WEBP_XMP) | (_WEBP_EXIF if turned else 0)]) if flags else b""
        )
        kept[0] = (b"VP8X", flags + kept[0][1][1:])
        kept += [(b"EXIF", turned)] if turned else []
    chunks = [kind + len(says).to_bytes(4, "little") + says + bytes(len(says) % 2) for kind, says in kept]
    body = b"WEBP" + b"".join(chunks)
    return b"RIFF" + len(body).to_bytes(4, "little") + body


def _gif(data: bytes) -> Iterator[bytes]:
    place = 13 + _table(_cut(data, 10, 1)[0])
    yield _cut(data, 0, place)
    while (kind := _cut(data, place, 1)) != b";":
        if kind == b",":
            head = 11 + _table(_cut(data, place + 9, 1)[0])
        elif kind == b"!":
            head = 2
        else:
            raise ValueError("no block")
        end = place + head
        while size := _cut(data, end, 1)[0]:
            end += 1 + size
        block = _cut(data, place, end + 1 - place)
        place = end + 1
        if kind == b"," or block[1] == 0xF9 or block[2:].startswith(_GIF_KEPT):
            yield block
    yield b";"


def _table(flags: int) -> int:
    """Return how many bytes a table of colours takes."""
    return 3 * 2 ** (flags % 8 + 1) if flags & 0x80 else 0
