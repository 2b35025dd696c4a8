"""QR codes: what was drawn is read again, and whatever is none is said to be."""

from __future__ import annotations

import io
from pathlib import Path

import pytest
from PIL import Image

from iirs.chain import JoinLink
from iirs.client.messenger.safety_number import matches, safety_number
from iirs.client.pictures.qr import qr_png, read_qr
from iirs.errors import AccountError
from iirs.server.main import qr_lines

LINK = "iirs://127.0.0.1:12345/#" + "ab" * 32


def test_a_join_link_is_read_from_its_picture(tmp_path: Path) -> None:
    path = tmp_path / "link.png"
    path.write_bytes(qr_png(LINK, 4))
    assert str(JoinLink.parse(read_qr(path))) == LINK


def test_a_safety_number_is_read_and_another_does_not_match(tmp_path: Path) -> None:
    number = safety_number(b"c" * 32, "alice", b"a" * 32, "bob", b"b" * 32)
    assert number == safety_number(b"c" * 32, "bob", b"b" * 32, "alice", b"a" * 32)
    path = tmp_path / "number.png"
    path.write_bytes(qr_png(number, 3))
    assert matches(number, read_qr(path))
    assert not matches(safety_number(b"c" * 32, "alice", b"a" * 32, "bob", b"x" * 32), read_qr(path))


def test_what_holds_no_code_or_is_no_picture_or_too_large_is_said(tmp_path: Path) -> None:
    path = tmp_path / "picture"
    with pytest.raises(AccountError, match="no picture"):
        read_qr(path)
    path.write_bytes(b"no picture at all")
    with pytest.raises(AccountError, match="no picture"):
        read_qr(path)
    Image.new("L", (100, 100), 255).save(path, "PNG")
    with pytest.raises(AccountError, match="no QR code"):
        read_qr(path)
    Image.new("1", (5000, 5000)).save(path, "PNG")
    assert path.stat().st_size < 100_000
    with pytest.raises(AccountError, match="too large"):
        read_qr(path)


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "GIF", "WEBP", "BMP"])
def test_damaged_pictures_give_a_text_or_one_sentence(tmp_path: Path, kind: str) -> None:
    written = io.BytesIO()
    Image.open(io.BytesIO(qr_png("hello", 2))).convert("RGB").save(written, kind)
    data, path = written.getvalue(), tmp_path / "damaged"
    for place in range(0, len(data), max(1, len(data) // 60)):
        for damaged in (data[:place], data[:place] + bytes([data[place] ^ 0xFF]) + data[place + 1 :]):
            path.write_bytes(damaged)
            try:
                read_qr(path)
            except AccountError:
                continue


def test_a_server_draws_its_link_for_a_terminal() -> None:
    lines = qr_lines(LINK)
    assert set(lines) <= set(" \n█▀▄\x1b[0123456789;m") | {"\xa0"}
    assert lines.count("\n") > 15
