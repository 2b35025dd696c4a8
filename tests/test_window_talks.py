"""A main page over a model: who asks, how many talks there are, safety numbers, files to send."""

from __future__ import annotations

import pytest

pytest.importorskip("tkinter")

from pathlib import Path

from iirs.client.events import (
    ContactChanged,
    FileAdded,
    GroupChanged,
    GroupState,
    PeerAsks,
    PeerChanged,
    PeerState,
    TextQueued,
    TextReceived,
    TimerAsked,
)
from iirs.client.messenger.contacts import KEYS_CHANGED
from iirs.client.model.background import Found
from iirs.client.store.log_entry import EntryKind, FileInfo, LogEntry
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


GROUP = "#" + "ab" * 16


def invited(key: str, name: str) -> GroupChanged:
    return GroupChanged(key, name, ("alice", "bob"), frozenset(), "bob", GroupState.INVITED)


def test_nobodys_words_pass_for_ours_in_the_list(offline: OfflinePage) -> None:
    """Fixed: a peer's "You: I agree" looked like our own text, and "[file] x" like a file."""
    file = FileInfo(b"f" * 16, "a.txt", 5, bytes(32))
    entry = LogEntry("carol", b"f" * 16, EntryKind.FILE, False, "carol", file.name, NOW, file=file)
    offline.take(TextReceived("bob", b"1", "You: I agree", NOW), FileAdded(entry))
    lines = [row.line for row in offline.page.side.people._rows[:2]]
    assert sorted(lines) == ["bob: You: I agree", "carol sends a file: a.txt"]


def test_emoji_are_spelled_out_wherever_a_peer_can_put_them(offline: OfflinePage) -> None:
    """Fixed: in the list, in titles and in banners they were drawn on screens that do not survive it."""
    offline.screen.theme.emoji._safe, before = False, offline.screen.theme.emoji._safe
    offline.screen.theme.emoji._process, process = None, offline.screen.theme.emoji._process
    try:
        offline.talk_to("bob")
        offline.take(TextReceived("carol", b"1", "\U0001f600", NOW), invited(GROUP, "\U0001f680 club"))
        offline.page.open(GROUP)
        offline.take(TextReceived(GROUP, b"2", "\U0001f600", NOW, "bob"))
        offline.page.take(
            Found("", "x", (LogEntry("bob", b"3", EntryKind.TEXT, False, "bob", "\U0001f600", NOW),))
        )
        offline.page.open("bob")
        offline.page.open("")
        offline.screen.root.update()
        seen = words(offline.page) + "".join(offline.page.found.list.get(0, "end"))
        assert "rocket" in seen
        assert not any(ord(character) >= 0x1F000 for character in seen)
    finally:
        offline.screen.theme.emoji._safe, offline.screen.theme.emoji._process = before, process


def test_a_long_name_of_a_group_leaves_the_buttons_their_room(offline: OfflinePage) -> None:
    """Fixed: 64 wide characters left Decline a few pixels."""
    offline.take(invited(GROUP, "\u5b57" * 64))
    offline.page.open(GROUP)
    for width in (960, 720):
        offline.top.geometry(f"{width}x680")
        offline.screen.pump(lambda: offline.top.winfo_width() == width)  # noqa: B023  # pumped at once
        offline.screen.root.update()
        pane = offline.page.chat
        for shown in (pane.decline_button, pane.ask_button, pane.more_button):
            assert shown.winfo_width() >= shown.winfo_reqwidth()
            assert shown.winfo_rootx() + shown.winfo_width() <= pane.winfo_rootx() + pane.winfo_width()
        assert "…" in str(pane._name_label.cget("text"))


def test_many_who_ask_do_not_push_the_talk_off_the_screen(offline: OfflinePage) -> None:
    offline.talk_to("bob")
    offline.take(*[PeerAsks(f"mallory{number}") for number in range(40)])
    offline.take(*[invited("#" + f"{number:032x}", "x" * 64) for number in range(20)])
    assert len(offline.page.banners.shown) == 3
    assert offline.page.chat.log.winfo_height() > 200
    assert len(offline.page.side.people.names) > 60


def test_a_group_that_asks_is_looked_at_from_the_page_for_new_talks(offline: OfflinePage) -> None:
    """Fixed: it stood there as its key, and could only be asked like a person."""
    offline.take(invited(GROUP, "carol (verified) ✓"))
    page = offline.page.new_talk_page
    assert "bob asks you to join the group “#carol (verified)”." in words(page)
    button(page, "Look").invoke()
    assert offline.model.open_peer == GROUP


def test_a_timer_that_a_peer_has_set_waits_for_an_answer_above_their_talk(offline: OfflinePage) -> None:
    offline.talk_to("bob")
    offline.take(TimerAsked("bob", "bob", 300, is_new=True))
    banner = "bob lets messages disappear after 5 min, and would like you to do so."
    assert banner in words(offline.page.banners)
    assert banner[:-1] in offline.shown()
    button(offline.page.banners, "Leave it").invoke()
    button(offline.page.banners, "Agree").invoke()
    assert offline.asked[-2:] == [("leave_timer", "bob"), ("set_timer", "bob", 300)]
    offline.page.open("carol")
    assert banner not in words(offline.page.banners)
    offline.page.open("bob")
    offline.take(TimerAsked("bob", "bob", 3600, is_new=True))
    assert "after 60 min" not in words(offline.page.banners)
    assert "after 1 h" in words(offline.page.banners)
    offline.take(TimerAsked("bob"))
    assert "disappear" not in words(offline.page.banners)


def test_who_asks_is_accepted_or_declined_from_a_banner(offline: OfflinePage) -> None:
    offline.talk_to("bob")
    offline.take(PeerAsks("carol"), PeerAsks("dave"))
    assert "carol wants to talk to you. Nobody is told if you decline." in words(offline.page.banners)
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
    assert "Mark as not verified" in words(page)
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
