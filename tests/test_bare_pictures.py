"""Pictures that are sent: what a camera wrote beside them stays here, and they look as they did."""

from __future__ import annotations

import io
import queue
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image, ImageOps, ImageSequence, PngImagePlugin

from iirs.client.model.background import BackgroundWork, Said
from iirs.client.pictures import bare_pictures
from iirs.client.pictures.bare_pictures import bare
from iirs.client.pictures.thumbnails import without_metadata
from iirs.errors import AccountError
from tests.effort import examples
from tests.pictures import PLACE, many_scans, photograph

pytest_plugins = ["tests.decoder_fixtures"]
pytestmark = pytest.mark.usefixtures("usual_priority")
KINDS = ("JPEG", "MPO", "PNG", "WEBP", "GIF")
PHOTOGRAPHS = {kind: photograph(kind) for kind in KINDS}
"""Made once: their profiles have the time in them."""


def with_remarks() -> bytes:
    """Return a PNG with all the ways there are to write beside it, and something after its end."""
    remarks = PngImagePlugin.PngInfo()
    remarks.add_text("Comment", PLACE)
    remarks.add_text("Comment", PLACE, zip=True)
    remarks.add_itxt("XML:com.adobe.xmp", PLACE)
    written = io.BytesIO()
    picture = Image.new("RGBA", (6, 4), (200, 0, 0, 100))
    picture.save(written, "PNG", pnginfo=remarks, dpi=(300, 300))
    return written.getvalue() + PLACE.encode()


def animation(kind: str) -> bytes:
    written = io.BytesIO()
    first, *more = (Image.new("RGB", (8, 8), colour) for colour in ("red", "green", "blue"))
    options = {"comment": PLACE.encode()} if kind == "GIF" else {"lossless": True} if kind == "WEBP" else {}
    first.save(written, kind, save_all=True, append_images=more, duration=100, loop=0, **options)
    return written.getvalue()


def looks(data: bytes) -> list[tuple[tuple[int, int], bytes, int | None]]:
    """Return what is seen of a picture: the size and pixels of each frame the right way up, and how long."""
    with Image.open(io.BytesIO(data)) as picture:
        frames = [picture] if picture.format == "MPO" else ImageSequence.Iterator(picture)
        turned = [ImageOps.exif_transpose(frame.convert("RGBA")) for frame in frames]
        return [(frame.size, frame.tobytes(), picture.info.get("duration")) for frame in turned]


@pytest.mark.parametrize("turned", [1, 3, 6, 8])
@pytest.mark.parametrize("kind", KINDS)
def test_nothing_of_the_camera_is_left_and_the_picture_looks_the_same(kind: str, turned: int) -> None:
    data = photograph(kind, turned=turned)
    assert PLACE.encode() in data
    plain = bare(data)
    assert PLACE.encode() not in plain
    assert len(plain) <= len(data)
    assert looks(plain)[0] == looks(data)[0]
    with Image.open(io.BytesIO(data)) as before, Image.open(io.BytesIO(plain)) as after:
        assert after.info.get("icc_profile") == before.info.get("icc_profile")
        left = dict(after.getexif())
    assert left == ({0x0112: turned} if turned > 1 and kind != "GIF" else {})
    assert bare(plain) == plain


def test_what_a_jpeg_keeps_beside_itself_is_gone_its_other_pictures_too() -> None:
    plain = bare(photograph("MPO"))
    assert plain.count(b"\xff\xd8") == 1
    assert b"MPF" not in plain
    assert plain.endswith(b"\xff\xd9")


def test_a_png_keeps_what_it_looks_like_and_no_remark() -> None:
    data = with_remarks()
    plain = bare(data)
    assert looks(plain) == looks(data)
    with Image.open(io.BytesIO(plain)) as picture:
        assert set(picture.info) == {"dpi"}
    assert not any(word in plain for word in (b"tEXt", b"zTXt", b"iTXt", PLACE.encode()))


@pytest.mark.parametrize("kind", ["GIF", "PNG", "WEBP"])
def test_an_animation_goes_on_moving(kind: str) -> None:
    data = animation(kind)
    plain = bare(data)
    assert len(looks(plain)) == 3
    assert looks(plain) == looks(data)
    with Image.open(io.BytesIO(plain)) as picture:
        assert picture.info.get("loop") == 0
    assert PLACE.encode() not in plain


def test_a_progressive_jpeg_and_one_that_is_cut_off_are_taken_as_they_are_shown() -> None:
    data = many_scans(64, 20_000)
    assert looks(bare(data)) == looks(data)
    assert bare(data[:-2]) == bare(data)


@pytest.mark.parametrize("kind", KINDS[2:])
def test_a_picture_that_is_damaged_is_not_sent_and_how_it_can_be_is_said(kind: str) -> None:
    data = photograph(kind)
    with pytest.raises(ValueError, match=r"cut off|no"):
        bare(data[: len(data) // 2])
    if kind == "PNG":
        with pytest.raises(AccountError, match="put it into an archive"):
            without_metadata(data[: len(data) // 2])


@given(st.sampled_from(KINDS), st.data())
@settings(max_examples=examples(200), deadline=None)
def test_any_bytes_give_a_picture_or_a_refusal(kind: str, data: st.DataObject) -> None:
    whole = bytearray(PHOTOGRAPHS[kind])
    for _ in range(data.draw(st.integers(1, 4))):
        whole[data.draw(st.integers(4, len(whole) - 1))] = data.draw(st.integers(0, 255))
    whole = whole[: data.draw(st.integers(13, len(whole)))]
    try:
        plain = bare(bytes(whole))
    except ValueError:
        return
    assert len(plain) <= len(whole) + 64


class Connection:
    """Takes what is sent, in the thread that sends it."""

    def __init__(self) -> None:
        self.sent: queue.SimpleQueue[tuple[str, str, bytes]] = queue.SimpleQueue()

    def act(self, function: Any) -> None:
        send = lambda *file: self.sent.put(file)  # noqa: E731
        function(SimpleNamespace(messenger=SimpleNamespace(send_file=send)))


def test_a_window_sends_pictures_bare_and_all_else_as_it_is(tmp_path: Path) -> None:
    connection, told = Connection(), queue.SimpleQueue[Any]()
    background = BackgroundWork(connection, told.put)  # type: ignore[arg-type]
    photo, text = photograph("JPEG"), PLACE.encode() + b"\xff\xd8\xff"
    for name, data in (("photo.bin", photo), ("notes.jpg", text)):
        (tmp_path / name).write_bytes(data)
        background.send_file("bob", tmp_path / name)
        assert connection.sent.get(timeout=60) == ("bob", name, text if data == text else bare(photo))
    background.send_pasted("bob", "picture.png", with_remarks())
    assert connection.sent.get(timeout=60) == ("bob", "picture.png", bare(with_remarks()))
    background.send_pasted("bob", "picture.png", with_remarks()[:60])
    refused = told.get(timeout=60)
    assert isinstance(refused, Said)
    assert "damaged" in refused.sentence
    assert connection.sent.empty()


def test_a_part_that_is_kept_by_mistake_is_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bare_pictures, "_JPEG_KEPT", {0xE1: (b"Exif",)})
    assert PLACE.encode() in bare(photograph("JPEG"))
