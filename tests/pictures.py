"""Pictures for tests: some are what a person sends, others keep a decoder busy or lead it astray."""

from __future__ import annotations

import io
import struct
import zlib
from collections.abc import Iterator

from PIL import Image, ImageCms

PLACE = "48.137 N 11.575 E"
"""What a camera wrote into a picture, and nobody else may read."""


def png(colour: str, size: tuple[int, int] = (60, 40)) -> bytes:
    """Return a picture of one colour."""
    written = io.BytesIO()
    Image.new("RGB", size, colour).save(written, "PNG")
    return written.getvalue()


def photograph(kind: str, size: tuple[int, int] = (60, 40), turned: int = 6) -> bytes:
    """Return a picture, red on the left and blue on the right, with all that a camera writes beside it."""
    picture = Image.new("RGB", size, "blue")
    picture.paste("red", (0, 0, size[0] // 2, size[1]))
    exif = Image.Exif()
    exif[0x0112], exif[0x010E], exif[0x013B] = turned, PLACE, PLACE  # which way is up; what it shows; by whom
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    written = io.BytesIO()
    options = {"comment": PLACE.encode(), "xmp": PLACE.encode(), "quality": 95}
    if kind == "MPO":
        options |= {"save_all": True, "append_images": [picture.rotate(180)]}
    picture.save(written, kind, exif=exif, icc_profile=profile, **options)
    return written.getvalue()


def many_scans(side: int, size: int) -> bytes:
    """Return a progressive JPEG of ``size`` bytes: each of its thousands of scans goes over all of it."""
    written = io.BytesIO()
    Image.new("RGB", (side, side), "red").save(written, "JPEG", progressive=True)
    whole = written.getvalue()
    scan = list(_scans(whole))[-1]
    return whole[:-2] + scan * ((size - len(whole)) // len(scan)) + whole[-2:]


def _scans(jpeg: bytes) -> Iterator[bytes]:
    at = 2
    while jpeg[at + 1] != 0xD9:
        end = at + 2 + int.from_bytes(jpeg[at + 2 : at + 4], "big")
        if jpeg[at + 1] == 0xDA:
            while jpeg[end] != 0xFF or jpeg[end + 1] == 0 or 0xD0 <= jpeg[end + 1] <= 0xD7:
                end += 1
            yield jpeg[at:end]
        at = end


def finder_patterns(side: int) -> bytes:
    """Return a picture full of the corners of QR codes: whoever looks for one tries them all."""
    corner = Image.new("L", (18, 18), 255)
    for edge, colour in ((0, 0), (2, 255), (4, 0)):
        corner.paste(colour, (edge, edge, 14 - edge, 14 - edge))
    picture = Image.new("L", (side, side), 255)
    for place in range((side // 18) ** 2):
        picture.paste(corner, (18 * (place // (side // 18)), 18 * (place % (side // 18))))
    written = io.BytesIO()
    picture.save(written, "PNG")
    return written.getvalue()


def chunks(data: bytes) -> list[bytes]:
    """Return the names of a PNG's chunks."""
    names, at = [], 8
    while at < len(data):
        names.append(data[at + 4 : at + 8])
        at += 12 + int.from_bytes(data[at : at + 4], "big")
    return names


def blank(width: int, height: int) -> bytes:
    """Return a black picture, large but in few bytes."""
    written = io.BytesIO()
    Image.new("1", (width, height)).save(written, "PNG")
    return written.getvalue()


def png_of(*parts: tuple[bytes, bytes]) -> bytes:
    """Return a PNG of chunks by name."""
    whole = b"\x89PNG\r\n\x1a\n"
    for name, body in (*parts, (b"IEND", b"")):
        whole += struct.pack(">I", len(body)) + name + body + struct.pack(">I", zlib.crc32(name + body))
    return whole


def claims(width: int, height: int) -> bytes:
    """Return a small PNG that says it is large."""
    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return png_of((b"IHDR", header), (b"IDAT", zlib.compress(bytes(100_000))))


def text_bomb() -> bytes:
    """Return a PNG with a remark of 50 MB."""
    header = struct.pack(">IIBBBBB", 1, 1, 8, 2, 0, 0, 0)
    remark = b"Comment\0\0" + zlib.compress(bytes(50_000_000))
    return png_of((b"IHDR", header), (b"zTXt", remark), (b"IDAT", zlib.compress(bytes(4))))


def frames(kind: str, count: int) -> bytes:
    """Return a moving picture that begins red."""
    first = Image.new("RGB", (8, 8), "red")
    others = [Image.new("RGB", (8, 8), (0, number % 256, number // 256)) for number in range(1, count)]
    written = io.BytesIO()
    first.save(written, kind, save_all=True, append_images=others)
    return written.getvalue()
