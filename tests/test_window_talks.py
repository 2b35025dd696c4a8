"""A main page over a model: who asks, how many talks there are, safety numbers, files to send."""

from __future__ import annotations

import pytest

pytest.importorskip("tkinter")

from pathlib import Path

from iirs.client.events import ContactChanged, PeerAsks, PeerChanged, PeerState, TextQueued, TextReceived
from iirs.client.messenger.contacts import KEYS_CHANGED
from iirs.client.window.pages.safety_page import SafetyPage
from tests.offline_page import NOW, OfflinePage, button
from tests.screen import press, words, write

pytestmark = [pytest.mark.window, pytest.mark.slow]
pytest_plugins = ["tests.window_fixtures"]


NUMBER = "0123456789" * 6


def test_a_row_shows_the_last_line_and_what_is_unread(offline: OfflinePage) -> None:
    offline.take(TextReceived("bob", b"1", "see you\ntomorrow", NOW), TextQueued("carol", b"2", "yes", NOW))
    texts = words(offline.page.side.people)
    assert "see you tomorrow" in texts
    assert "You: yes" in texts
    assert [row.unread for row in offline.page.side.people._rows if row.key == "bob"] == [1]


def test_who_asks_is_accepted_or_declined_from_a_banner(offline: OfflinePage) -> None:
    offline.talk_to("bob")
    offline.take(PeerAsks("carol"), PeerAsks("dave"))
    assert "carol wants to talk to you. Declining is not told to anybody." in words(offline.page.banners)
    banners = [offline.page.banners._shown[f"ask {name}"] for name in ("carol", "dave")]
    button(banners[0], "Accept").invoke()
    button(banners[1], "Decline").invoke()
    assert ("ask", "carol") in offline.asked
    assert ("decline", "dave") in offline.asked
    offline.take(PeerAsks("dave", asks=False), PeerChanged("carol", PeerState.ASKING))
    assert "wants to talk" not in words(offline.page.banners)


def test_when_all_places_are_in_use_that_is_said_and_the_wish_can_be_taken_back(offline: OfflinePage) -> None:
    offline.take(
        PeerChanged("bob", PeerState.CONNECTED),
        PeerChanged("carol", PeerState.CONNECTED),
        PeerChanged("dave", PeerState.WAITING),
    )
    assert "2 of 2 conversations in use · 1 waiting for a place" in words(offline.page)
    offline.page.open("dave")
    assert "All 2 conversations you can have at once are in use." in words(offline.page.chat)
    button(offline.page.chat, "Stop asking").invoke()
    assert ("hang_up", "dave") in offline.asked
    assert offline.page.chat.send_button.instate(["disabled"])


def test_safety_numbers_are_compared_and_marked(offline: OfflinePage) -> None:
    offline.take(ContactChanged("bob", NUMBER, verified=False))
    offline.page.show_safety("bob")
    page = offline.page.page
    assert isinstance(page, SafetyPage)
    assert "01234  56789" in page.digits
    write(page.pasted, " ".join(NUMBER))
    assert "The same." in words(page)
    write(page.pasted, NUMBER[:-1] + "1")
    assert "They differ." in words(page)
    page.same_button.invoke()
    assert ("verify", "bob", True) in offline.asked
    offline.take(ContactChanged("bob", NUMBER, verified=True))
    assert "Not verified after all" in words(page)
    press(page.pasted, "<Escape>")
    page.close_button.invoke()
    offline.page.open("bob")
    assert "bob ✓" in words(offline.page.chat)


def test_other_keys_than_before_block_sending_until_the_numbers_were_looked_at(offline: OfflinePage) -> None:
    offline.talk_to("bob")
    offline.take(ContactChanged("bob", NUMBER, verified=False, blocked=KEYS_CHANGED))
    assert KEYS_CHANGED in words(offline.page.banners)
    assert offline.page.chat.send_button.instate(["disabled"])
    write(offline.page.chat.entry, "hello")
    press(offline.page.chat.entry, "<Return>")
    assert not any(asked[0] == "send" for asked in offline.asked)
    button(offline.page.banners, "Compare safety numbers").invoke()
    page = offline.page.page
    assert isinstance(page, SafetyPage)
    button(page, "Go on all the same").invoke()
    assert ("accept_keys", "bob") in offline.asked
    offline.take(ContactChanged("bob", NUMBER, verified=False))
    offline.page.open("bob")
    assert KEYS_CHANGED not in words(offline.page.banners)
    assert offline.page.chat.send_button.instate(["!disabled"])


def test_a_file_that_is_too_long_or_empty_or_gone_is_refused_before_it_is_sent(
    offline: OfflinePage, tmp_path: Path
) -> None:
    offline.talk_to("bob")
    composer = offline.page.chat.composer
    (tmp_path / "long").write_bytes(bytes(1024 * 1024 + 1))
    (tmp_path / "empty").touch()
    for name, sentence in (("long", "hours"), ("empty", "is empty"), ("gone", "cannot be read")):
        composer.offer_file(tmp_path / name)
        assert sentence in words(composer.strip)
        assert not composer.strip_send.winfo_manager()
    composer.strip_cancel.invoke()
    assert not any(asked[0] == "send_file" for asked in offline.asked)
