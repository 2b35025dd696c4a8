"""Small pictures: what is shown of a file that somebody sent, and what of it never comes through."""

from __future__ import annotations

import io
from pathlib import Path

import pytest
from PIL import Image

from iirs.client.pictures import decoder_process
from iirs.client.pictures.decoder import Bounds, Decoder
from iirs.client.pictures.thumbnails import may_be_picture, thumbnail
from tests.pictures import PLACE, blank, chunks, claims, frames, photograph, png, text_bomb

pytest_plugins = ["tests.decoder_fixtures"]
pytestmark = pytest.mark.usefixtures("usual_priority")


def opened(data: bytes) -> Image.Image:
    assert data
    return Image.open(io.BytesIO(data)).convert("RGB")


def in_format(kind: str) -> bytes:
    written = io.BytesIO()
    Image.new("RGB", (60, 40), "red").save(written, kind)
    return written.getvalue()


def reddish(pixel: object) -> bool:
    red, green, blue = pixel  # type: ignore[misc]
    return bool(red > 200 and green < 60 and blue < 60)


@pytest.mark.parametrize(
    "data",
    [b"", b"\x89PNG\r\n\x1a\nnothing", b"GIF89a" + bytes(50), b"\xff\xd8\xff" * 100, b"%PDF-1.4", b"<svg/>"],
    ids=["empty", "png", "gif", "jpeg", "pdf", "svg"],
)
def test_what_is_no_picture_is_not_shown_as_one(data: bytes) -> None:
    assert thumbnail(data, 100) == b""


@pytest.mark.parametrize(
    "kind", ["BMP", "TIFF", "EPS", "PPM", "ICO", "PCX", "PDF", "TGA", "ICNS", "JPEG2000"]
)
def test_no_other_format_reaches_a_decoder(kind: str) -> None:
    data = in_format(kind)
    assert not may_be_picture(data)
    with pytest.raises(Image.UnidentifiedImageError):
        decoder_process.small(data, 100)


def test_what_only_begins_like_a_picture_in_its_container_is_none() -> None:
    assert not may_be_picture(b"RIFF\x24\x00\x00\x00WAVEfmt ")
    assert may_be_picture(in_format("WEBP"))


def test_a_picture_with_too_many_pixels_is_not_decoded() -> None:
    assert thumbnail(blank(5000, 4001), 100) == b""
    assert opened(thumbnail(blank(5000, 4000), 100)).size == (100, 80)
    assert thumbnail(claims(2**31 - 1, 2**31 - 1), 100) == b""
    assert thumbnail(claims(2**31 - 1, 1), 100) == b""


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "WEBP", "MPO"])
def test_nothing_a_camera_wrote_beside_the_picture_comes_through_but_which_way_is_up(kind: str) -> None:
    data = photograph(kind)
    assert PLACE.encode() in data
    small = thumbnail(data, 100)
    assert set(chunks(small)) == {b"IHDR", b"IDAT", b"IEND"}
    assert PLACE.encode() not in small
    shown = opened(small)
    assert shown.size == (40, 60)
    assert reddish(shown.getpixel((20, 10)))
    assert not reddish(shown.getpixel((20, 50)))


def test_a_picture_is_shown_even_if_it_is_not_known_which_way_is_up() -> None:
    written = io.BytesIO()
    Image.new("RGB", (60, 40), "red").save(written, "JPEG", exif=b"Exif\0\0II*\0\xff\xff\xff\xff")
    assert opened(thumbnail(written.getvalue(), 100)).size == (60, 40)


@pytest.mark.parametrize("kind", ["GIF", "WEBP", "PNG"])
def test_of_a_moving_picture_the_first_frame_is_shown(kind: str) -> None:
    assert reddish(opened(thumbnail(frames(kind, 300), 100)).getpixel((4, 4)))


def test_a_remark_that_unpacks_to_many_megabytes_is_not_unpacked() -> None:
    data = text_bomb()
    assert len(data) < 100_000
    assert thumbnail(data, 100) == b""


@pytest.mark.filterwarnings("ignore::UserWarning")
@pytest.mark.parametrize("kind", ["PNG", "JPEG", "WEBP", "GIF"])
def test_damaged_pictures_are_shown_or_not_and_end_nothing(kind: str) -> None:
    data = photograph(kind) if kind != "GIF" else in_format(kind)
    for place in range(0, len(data), max(1, len(data) // 60)):
        for damaged in (data[:place], data[:place] + bytes([data[place] ^ 0xFF]) + data[place + 1 :]):
            try:
                answer = decoder_process.small(damaged, 100)
            except Exception:  # noqa: S112  # whatever the decoder raises: it ends one process
                continue
            assert len(answer) <= 4 + 4 * 100 * 100


@pytest.mark.parametrize(
    "said",
    [
        "b'garbage'",
        "bytes(3)",
        "bytes(4)",
        "bytes([0, 1, 0, 0])",
        "bytes([0, 101, 0, 1]) + bytes(404)",
        "bytes([0, 2, 0, 2]) + bytes(15)",
        "bytes([0, 2, 0, 2]) + bytes(17)",
        "b'\\x89PNG\\r\\n\\x1a\\n' + bytes(100)",
    ],
)
def test_what_a_decoder_says_is_not_believed(tmp_path: Path, said: str) -> None:
    (tmp_path / "program.py").write_text(f"import sys; sys.stdout.buffer.write({said})")
    made = Decoder(Bounds(program=tmp_path / "program.py"))
    assert thumbnail(png("red"), 100, made) == b""


def test_pixels_alone_make_the_picture_that_is_shown(tmp_path: Path) -> None:
    said = "import sys; sys.stdout.buffer.write(bytes([0, 2, 0, 1]) + bytes([9, 8, 7, 255] * 2))"
    (tmp_path / "program.py").write_text(said)
    shown = opened(thumbnail(png("red"), 100, Decoder(Bounds(program=tmp_path / "program.py"))))
    assert (shown.size, shown.getpixel((1, 0))) == ((2, 1), (9, 8, 7))
