"""Small pictures, made in a process of its own that holds nothing else."""

from __future__ import annotations

import io
import subprocess
import sys

import pytest
from PIL import Image

from iirs.client.pictures import decoder_process
from iirs.client.pictures.thumbnails import thumbnail
from tests.pictures import png


@pytest.mark.parametrize(
    "data",
    [b"", b"\x89PNG\r\n\x1a\nnothing", b"GIF89a" + bytes(50), b"\xff\xd8\xff" * 100, b"%PDF-1.4", b"<svg/>"],
    ids=["empty", "png", "gif", "jpeg", "pdf", "svg"],
)
def test_what_is_no_picture_is_not_shown_as_one(data: bytes) -> None:
    assert thumbnail(data, 100) == b""


def test_a_picture_with_too_many_pixels_is_not_decoded() -> None:
    assert thumbnail(png("red", (8000, 8000)), 100) == b""
    small = thumbnail(png("red", (3000, 1000)), 100)
    assert Image.open(io.BytesIO(small)).size == (100, 33)


def test_the_picture_process_has_nothing_else_of_this_program_in_it() -> None:
    code = (
        "import runpy, sys; runpy.run_path(sys.argv[1]);"
        "print([name for name in sys.modules if name.startswith('iirs')])"
    )
    command = [sys.executable, "-I", "-c", code, decoder_process.__file__]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
