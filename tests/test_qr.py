"""QR codes: what was drawn is read again, and whatever is none is said to be."""

from __future__ import annotations

import io
import os
from pathlib import Path

import pytest
import zxingcpp
from PIL import Image

from iirs.chain import JoinLink
from iirs.client.messenger.safety_number import matches, safety_number
from iirs.client.pictures import decoder_process
from iirs.client.pictures.decoder import Bounds, Decoder
from iirs.client.pictures.qr import qr_png, read_qr
from iirs.errors import AccountError
from iirs.server.main import qr_lines
from tests.pictures import blank, finder_patterns

pytest_plugins = ["tests.decoder_fixtures"]
pytestmark = pytest.mark.usefixtures("usual_priority")
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
    path.write_bytes(blank(5000, 5000))
    assert path.stat().st_size < 100_000
    with pytest.raises(AccountError, match="too large"):
        read_qr(path)
    path.write_bytes(bytes(20 * 1024 * 1024 + 1))
    with pytest.raises(AccountError, match="too large"):
        read_qr(path)


def test_a_picture_that_keeps_its_decoder_busy_is_given_up(tmp_path: Path) -> None:
    (tmp_path / "busy.png").write_bytes(finder_patterns(3400))
    by_clock = Bounds(seconds=0.5, program=tmp_path / "busy.py")
    by_clock.program.write_text("while True: pass")
    for bounds in (Bounds(cpu_seconds=1), by_clock) if os.name == "posix" else (by_clock,):
        with pytest.raises(AccountError, match="too long"):
            read_qr(tmp_path / "busy.png", Decoder(bounds))


def test_what_has_no_end_is_not_read(tmp_path: Path) -> None:
    if hasattr(os, "mkfifo"):
        os.mkfifo(tmp_path / "pipe")
        for path in (tmp_path / "pipe", tmp_path, Path("/dev/zero")):
            with pytest.raises(AccountError, match="no picture"):
                read_qr(path)


def test_no_picture_of_a_code_is_decoded_in_this_program(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "link.png").write_bytes(qr_png(LINK, 4))
    monkeypatch.setattr(Image, "open", lambda *_, **__: pytest.fail("decoded here"))
    monkeypatch.setattr(zxingcpp, "read_barcodes", lambda *_, **__: pytest.fail("read here"))
    assert read_qr(tmp_path / "link.png") == LINK


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "GIF", "WEBP"])
def test_damaged_pictures_give_a_text_or_end_one_process(kind: str) -> None:
    written = io.BytesIO()
    Image.open(io.BytesIO(qr_png("hello", 2))).convert("RGB").save(written, kind)
    data = written.getvalue()
    for place in range(0, len(data), max(1, len(data) // 60)):
        for damaged in (data[:place], data[:place] + bytes([data[place] ^ 0xFF]) + data[place + 1 :]):
            try:
                text = decoder_process.code(damaged)
            except Exception:  # noqa: S112  # whatever the decoder raises: it ends one process
                continue
            assert len(text) < 10_000


def test_a_server_draws_its_link_for_a_terminal() -> None:
    lines = qr_lines(LINK)
    assert set(lines) <= set(" \n█▀▄\x1b[0123456789;m") | {"\xa0"}
    assert lines.count("\n") > 15
