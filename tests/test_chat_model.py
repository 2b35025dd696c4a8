"""What a window shows, without a window."""

from __future__ import annotations

import datetime
import io

import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from iirs.client.events import (
    ROUNDS_GO_ON,
    ConnectionChanged,
    ConnectionState,
    GroupChanged,
    GroupState,
    Notice,
    PeerAsks,
    PeerChanged,
    PeerState,
    PeopleChanged,
    RoundOpened,
    StandingBy,
    TextChanged,
    TextQueued,
    TextReceived,
    TimerAsked,
    TimerChanged,
)
from iirs.client.messenger.safety_number import identicon
from iirs.client.model.chat_model import ESTABLISHED, ChatModel
from iirs.client.model.talk import Row, Talk
from iirs.client.model.talk_sentences import about, why_not
from iirs.client.store.log_entry import EntryKind, HistoryPage, LogEntry, TextState
from iirs.client.text.emoji import spelled_out
from iirs.client.text.text_layout import clock_time, day_name, day_of, shorten, wrap
from iirs.client.window.theme.avatars import paint
from iirs.client.window.theme.shapes import RoundedBox

NOW_MS = 1_800_000_000_000


def online(*people: str) -> ChatModel:
    model = ChatModel("alice", now=lambda: NOW_MS / 1000)
    model.take(ConnectionChanged(ConnectionState.ONLINE))
    model.take(PeopleChanged(("alice", *people)))
    return model


def test_sending_is_possible_only_in_sync_and_online_and_the_reason_is_never_empty() -> None:
    model = online("bob")
    talk = model.talk("bob")
    may = {PeerState.CONNECTED, PeerState.QUIET, PeerState.RESUMING}
    for state in PeerState:
        model.take(PeerChanged("bob", state))
        assert (why_not(model, talk) == "") == (state in may)
        assert about(model, talk).endswith((".", "…"))
    model.take(PeerChanged("bob", PeerState.CONNECTED))
    for connection in ConnectionState:
        model.take(ConnectionChanged(connection))
        assert (why_not(model, talk) == "") == (connection is ConnectionState.ONLINE)


def test_coming_into_sync_is_written_into_the_log() -> None:
    model = online("bob")
    model.take(PeerChanged("bob", PeerState.CONNECTED, established=True))
    assert [row.text for row in model.talk("bob").rows] == [ESTABLISHED]


def test_a_delivery_state_never_goes_back() -> None:
    model = online("bob")
    model.take(TextQueued("bob", b"1", "hello", NOW_MS))
    for state in (TextState.DELIVERED, TextState.SENT):
        model.take(TextChanged("bob", b"1", state))
    assert model.talk("bob").rows[0].state is TextState.DELIVERED


def entry(item_id: bytes, text: str, state: TextState | None = None) -> LogEntry:
    return LogEntry("bob", item_id, EntryKind.TEXT, state is not None, "bob", text, NOW_MS, state)


def test_history_goes_before_what_happened_since_and_nothing_is_there_twice() -> None:
    talk = Talk("bob")
    talk.add(Row("new", NOW_MS, b"3", outgoing=True, state=TextState.SENT))
    talk.add(Row("in both", NOW_MS, b"2"))
    entries = [
        entry(b"0", "waiting", TextState.QUEUED),
        entry(b"1", "old", TextState.DELIVERED),
        entry(b"2", "in both"),
        entry(b"3", "new", TextState.QUEUED),
    ]
    talk.take_history(HistoryPage("bob", entries))
    assert [row.text for row in talk.rows] == ["waiting", "old", "in both", "new"]
    states = [row.state for row in talk.rows]
    assert states == [TextState.QUEUED, TextState.DELIVERED, None, TextState.SENT]


def test_a_history_of_endless_texts_is_cut_to_its_newest() -> None:
    talk = Talk("bob")
    entries = [entry(b"%d" % number, f"{number} " + "x" * 65_000) for number in range(500)]
    talk.take_history(HistoryPage("bob", entries))
    assert talk.has_more
    assert 20 < len(talk.rows) < 60
    assert talk.rows[-1].text.startswith("499 ")


def test_what_is_copied_is_whole_and_as_safe_as_what_is_shown() -> None:
    row = Row("\u202e" + "x" * 30_000 + "\x1b[2J", NOW_MS)
    assert len(row.whole) == 30_005
    assert not set(row.whole + row.shown) & set("\u202e\x1b")


def test_unread_texts_are_those_of_conversations_not_looked_at() -> None:
    model = online("bob", "carol")
    model.open("bob")
    for peer in ("bob", "carol"):
        model.take(TextReceived(peer, peer.encode(), "hello", NOW_MS))
        model.take(TextReceived(peer, peer.encode(), "hello", NOW_MS))
    assert (model.talk("bob").unread, model.talk("carol").unread, model.unread) == (0, 1, 1)
    model.open("carol")
    assert model.unread == 0


def test_requests_come_first_then_conversations_then_everybody() -> None:
    model = online("bob", "carol", "dave", "erin")
    model.take(TextReceived("erin", b"1", "hello", NOW_MS))
    model.take(PeerAsks("dave"))
    assert model.order() == ["dave", "erin", "bob", "carol"]
    assert model.order(" ER ") == ["erin"]
    assert model.asking == ["dave"]
    model.take(PeerChanged("dave", PeerState.ASKING))
    assert model.asking == []


def test_an_alarm_is_kept_once_and_a_notice_replaces_the_last() -> None:
    model = online()
    for sentence in ("one", "two"):
        model.take(Notice(sentence))
        model.take(Notice("alarm", alarm=True))
    assert (model.notice, model.alarms) == ("two", ["alarm"])


def test_a_lost_connection_has_no_round() -> None:
    model = online()
    model.take(RoundOpened(1, 2.0, 3, 5, 2.0))
    assert model.round is not None
    model.take(ConnectionChanged(ConnectionState.WAITING, "Gone."))
    assert model.round is None


def test_a_pause_is_said_until_rounds_go_on_and_texts_may_be_written_meanwhile() -> None:
    model = online("bob")
    model.take(PeerChanged("bob", PeerState.CONNECTED))
    model.take(RoundOpened(1, 2.0, 3, 5, 2.0))
    for _ in range(3):
        model.take(StandingBy(1, 3))
        assert model.standby == (
            "A server of the chain is not answering (the 2nd of 3). "
            "Rounds pause until it is back; nothing is lost."
        )
        assert model.round is None
        assert why_not(model, model.talk("bob")) == ""
        assert "waits" in about(model, model.talk("bob"))
    assert model.notice == ""
    model.take(RoundOpened(2, 2.0, 3, 5, 2.0))
    assert (model.standby, model.notice) == ("", ROUNDS_GO_ON)
    model.notice = ""
    model.take(RoundOpened(3, 2.0, 3, 5, 2.0))
    assert model.notice == ""


def test_a_lost_connection_ends_what_was_said_of_a_pause() -> None:
    model = online()
    model.take(StandingBy(None, 3))
    model.take(ConnectionChanged(ConnectionState.WAITING, "Gone."))
    assert model.standby == ""
    model.take(RoundOpened(2, 2.0, 3, 5, 2.0))
    assert model.notice == ""


@pytest.mark.parametrize(("hop", "which"), [(None, ""), (2, " (the 3rd of 8)"), (7, " (the 8th of 8)")])
def test_which_server_does_not_answer_is_said_if_it_is_known(hop: int | None, which: str) -> None:
    assert StandingBy(hop, 8).sentence.startswith(f"A server of the chain is not answering{which}. Rounds")


def test_the_longest_text_is_laid_out_in_few_steps() -> None:
    measured: list[str] = []

    def measure(text: str) -> float:
        measured.append(text)
        return 8.0

    for text in ("x" * 65_536, "\n" * 65_536, "wide " * 13_107):
        row = Row(text, NOW_MS)
        assert len(wrap(row.shown, 400, measure)) < 400
        assert len(row.text) == len(text)
        assert "copying takes all of it" in row.shown
    assert len(measured) < 65_536


@given(st.text(st.characters(exclude_characters="\n")), st.integers(1, 40))
def test_wrapping_loses_nothing_but_spaces_and_keeps_to_the_width(text: str, width: int) -> None:
    lines = wrap(text, width, lambda character: 1.0)
    assert "".join(lines).replace(" ", "") == text.replace(" ", "")
    assert all(len(line.rstrip(" ")) <= width for line in lines)


def test_words_are_kept_whole_where_they_fit() -> None:
    assert wrap("one two three\nfour", 8, lambda character: 1.0) == ["one two", "three", "four"]


def test_short_texts_are_not_shortened() -> None:
    assert shorten("hello\nyou") == "hello\nyou"


YEAR_9999_MS = 253_402_300_799_000


def test_no_time_that_a_peer_claims_pins_a_talk_on_top_or_makes_days_that_have_not_come() -> None:
    """Fixed: both were so, until the year 9999."""
    now = [NOW_MS / 1000]
    model = ChatModel("alice", now=lambda: now[0])
    entries = [
        LogEntry("bob", b"1", EntryKind.TEXT, False, "bob", "hello", YEAR_9999_MS),
        LogEntry("carol", b"2", EntryKind.TEXT, False, "carol", "hello", NOW_MS + 1000),
    ]
    now[0] += 5
    model.take_last_entries(entries)
    model.take_history(HistoryPage("bob", entries[:1]))
    model.take(TextReceived("bob", b"3", "again", YEAR_9999_MS))
    now[0] += 5
    model.take(TextReceived("carol", b"4", "later", NOW_MS))
    assert model.order() == ["carol", "bob"]
    assert [row.at_ms for row in model.talk("bob").rows] == [NOW_MS + 5000] * 2
    last = model.talk("bob").last
    assert last is not None
    assert last.at_ms == NOW_MS + 5000


def test_a_group_is_never_called_like_a_person_or_like_another_group() -> None:
    model = online("bob")
    keys = ["#" + digit * 32 for digit in "abc"]
    for key, name in zip(keys, ("bob", "bob ✓", "bob\u200b"), strict=True):
        model.take(GroupChanged(key, name, ("alice", "bob"), frozenset(), "bob", GroupState.INVITED))
    assert [model.talk(key).title for key in keys] == [f"#bob (#{digit * 8})" for digit in "abc"]
    assert model.talk("bob").title == "bob"


def test_what_others_set_a_timer_to_is_said_in_the_talk_and_waits_for_an_answer() -> None:
    model = online("bob")
    model.take(TimerAsked("bob", "bob", 300, is_new=True))
    talk = model.talk("bob")
    assert [row.shown for row in talk.rows] == [
        "bob lets messages disappear after 5 min, and would like you to do so"
    ]
    assert (talk.timer, talk.timer_by, talk.timer_asked) == (0, "bob", 300)
    model.take(TimerAsked("bob"))
    model.take(TimerChanged("bob", 300, is_new=True))
    assert (talk.timer, talk.timer_by) == (300, "")
    assert talk.rows[-1].shown == "From now on messages disappear here after 5 min"
    model.take(TimerChanged("bob", 300))
    assert len(talk.rows) == 2


@pytest.mark.parametrize("at_ms", [2**63, -(2**62), 10**18])
def test_a_time_that_no_calendar_has_is_a_dash(at_ms: int) -> None:
    assert clock_time(at_ms) == "-"
    assert day_of(at_ms) is None


def test_days_have_the_names_people_use() -> None:
    today = datetime.date(2026, 3, 2)
    assert day_name(today, today) == "Today"
    assert day_name(datetime.date(2026, 3, 1), today) == "Yesterday"
    assert day_name(datetime.date(2026, 2, 1), today) == "Sunday, 1 February 2026"


def test_a_picture_is_a_png_of_its_size_with_clear_corners_and_a_full_middle() -> None:
    box = RoundedBox(9, 7, 3, "#102030", "#ffffff", 1)
    picture = Image.open(io.BytesIO(box.png()))
    assert (picture.format, picture.mode, picture.size) == ("PNG", "RGBA", (9, 7))
    assert picture.getpixel((0, 0))[3] < 32  # type: ignore[index]
    assert picture.getpixel((4, 3)) == (0x10, 0x20, 0x30, 255)
    assert picture.getpixel((4, 0)) == (255, 255, 255, 255)
    assert any(0 < picture.getpixel((x, 0))[3] < 255 for x in range(9))  # type: ignore[index,operator]
    corner = Image.open(io.BytesIO(box.png((0, 0, 3, 3))))
    assert corner.size == (3, 3)
    assert corner.tobytes() == picture.crop((0, 0, 3, 3)).tobytes()


def test_a_persons_picture_is_round_and_another_for_another_number() -> None:
    one, other = (Image.open(io.BytesIO(paint(identicon(number * 60), 40))) for number in ("1", "2"))
    assert one.size == other.size == (40, 40)
    assert one.tobytes() != other.tobytes()
    for picture in (one, other):
        alphas = [picture.getpixel(point)[3] for point in ((0, 0), (20, 20), (20, 1))]  # type: ignore[index]
        assert alphas == [0, 255, 255]


def test_emoji_are_spelled_out_where_they_cannot_be_drawn() -> None:
    text = (
        "Grüße ☃ 日本 \N{THUMBS UP SIGN}\N{VARIATION SELECTOR-16} 1\N{COMBINING ENCLOSING KEYCAP} \U0001fbff!"
    )
    assert spelled_out(text) == (
        "Grüße :snowman: 日本 :thumbs-up-sign: 1:combining-enclosing-keycap: :picture:!"
    )
