"""What is pasted from another program: text is written, a picture offered, and nothing becomes numbers."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable, Iterator

import pytest

pytest.importorskip("tkinter")

from iirs.client.account.entry_calls import Home
from iirs.client.window.parts import pasting
from iirs.client.window.start import Start
from tests.harness import CHEAP
from tests.offline_page import OfflinePage
from tests.screen import Screen, login_page, words

pytestmark = pytest.mark.window
pytest_plugins = ["tests.window_fixtures"]

OWNER = """
import sys, tkinter as tk
root = tk.Tk()
root.withdraw()
first, size, kind, *targets = sys.argv[1:]
data = bytes.fromhex(first).ljust(int(size), b"\\1")
text = " ".join(f"0x{byte:x}" for byte in data) if "/" in kind else data.decode()
give = lambda start, count: text[int(start):int(start) + int(count)]
for selection in ("CLIPBOARD", "PRIMARY"):
    for target in targets:
        root.selection_handle(give, selection=selection, type=target, format=kind)
    root.selection_own(selection=selection)
root.update()
print("has it", flush=True)
root.mainloop()
"""
PNG = b"\x89PNG\r\n\x1a\n"
Copy = Callable[..., None]


@pytest.fixture
def copy(screen: Screen) -> Iterator[Copy]:
    """Have another program own both selections: these bytes, of this type, under these targets."""
    owners: list[subprocess.Popen[str]] = []

    def start(first: bytes, size: int, kind: str, *targets: str) -> None:
        command = [sys.executable, "-c", OWNER, first.hex(), str(size), kind, *targets]
        owner = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        owners.append(owner)
        assert owner.stdout is not None
        assert owner.stdout.readline()
        screen.root.update()  # so that Tk hears that the selection is no longer ours

    yield start
    for owner in owners:
        owner.terminate()
        owner.communicate()


@pytest.mark.parametrize("targets", [("image/png",), ("STRING", "UTF8_STRING", "image/png"), ("STRING",)])
def test_a_picture_that_is_pasted_is_offered_as_a_file(
    offline: OfflinePage, copy: Copy, targets: tuple[str, ...]
) -> None:
    offline.talk_to("bob")
    composer = offline.page.chat.composer
    copy(PNG, 600, "image/png", *targets)
    composer.entry.focus_force()
    composer.entry.event_generate("<<Paste>>")
    assert composer.text == ""
    assert "picture.png, 600 bytes" in words(composer.strip)
    composer.strip_send.invoke()
    assert offline.asked[-1] == ("send_pasted", "bob", "picture.png", PNG.ljust(600, b"\1"))


@pytest.mark.parametrize(
    ("first", "size", "kind", "sentence"),
    [
        (PNG, 701, "image/png", "would take hours"),
        (b"GIF89a", 500, "image/png", "no text"),
        (b"%PDF-1.7", 500, "application/pdf", "no text"),
    ],
)
def test_what_can_be_neither_written_nor_sent_is_said(
    offline: OfflinePage,
    copy: Copy,
    monkeypatch: pytest.MonkeyPatch,
    first: bytes,
    size: int,
    kind: str,
    sentence: str,
) -> None:
    monkeypatch.setattr(pasting, "FILE_MAX", 700)  # Tk's own selections are cut at 4,000 characters
    offline.talk_to("bob")
    composer = offline.page.chat.composer
    copy(first, size, kind, kind, "STRING")
    composer.entry.focus_force()
    composer.entry.event_generate("<<Paste>>")
    assert composer.text == ""
    assert sentence in words(composer.strip)
    assert not composer.strip_send.winfo_manager()
    assert not any(asked[0] == "send_pasted" for asked in offline.asked)


def test_a_picture_is_not_offered_where_no_file_can_be_sent(offline: OfflinePage, copy: Copy) -> None:
    offline.page.open("bob")  # who has not been asked yet
    offline.screen.root.update()
    composer = offline.page.chat.composer
    copy(PNG, 600, "image/png", "STRING", "UTF8_STRING", "image/png")
    composer.entry.focus_force()
    composer.entry.event_generate("<<Paste>>")
    assert composer.text == ""
    assert "no file can be sent here now" in words(composer.strip)
    assert not composer.strip_send.winfo_manager()


def test_text_is_written_even_if_it_is_of_numbers_or_comes_with_a_picture(
    offline: OfflinePage, copy: Copy
) -> None:
    offline.talk_to("bob")
    composer = offline.page.chat.composer
    for text in ("a word", "0x89 0x50 0x4e", "0x89, 0x50"):
        copy(text.encode(), len(text), "UTF8_STRING", "UTF8_STRING", "STRING", "text/html")
        composer.text = ""
        composer.entry.focus_force()
        composer.entry.event_generate("<<Paste>>")
        assert composer.text == text
        assert not composer.strip.winfo_manager()


@pytest.mark.parametrize("event", ["<<Paste>>", "<<PasteSelection>>"])
def test_no_field_writes_a_picture_as_numbers(
    screen: Screen, copy: Copy, tmp_path: object, event: str
) -> None:
    window = screen.open(Home(tmp_path, CHEAP), Start())  # type: ignore[arg-type]
    page = login_page(window)
    copy(b"bob", 3, "UTF8_STRING", "UTF8_STRING", "STRING")
    for entry in (page.name_entry, page.password_entry, page.link_entry):
        entry.focus_force()
        entry.event_generate(event)
        assert entry.get() == "bob"
    copy(PNG, 300, "image/png", "STRING", "UTF8_STRING", "image/png")
    for entry in (page.name_entry, page.password_entry, page.link_entry):
        entry.event_generate(event)
        assert entry.get() == "bob"
