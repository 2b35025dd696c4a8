"""While nothing goes between anybody, nothing is said that is true only while it does."""

from __future__ import annotations

import pytest

from iirs.client.events import (
    ConnectionChanged,
    ConnectionState,
    Event,
    GroupChanged,
    GroupState,
    KeepingChanged,
    PeerChanged,
    PeerState,
    PeopleChanged,
    RoundOpened,
    StandingBy,
)
from iirs.client.model.chat_model import ChatModel
from iirs.client.model.talk_sentences import about, brief, is_lively
from iirs.client.terminal_commands import Standing

OPENED = RoundOpened(7, 2.0, 24, 5, 2.0)
PAUSES = [
    (KeepingChanged("The disk is full."), KeepingChanged(), "sending pauses"),
    (StandingBy(1, 3), OPENED, "rounds pause"),
    (
        ConnectionChanged(ConnectionState.WAITING),
        ConnectionChanged(ConnectionState.ONLINE),
        "no connection",
    ),
]
ONLINE = ConnectionChanged(ConnectionState.ONLINE)


@pytest.mark.parametrize(
    "state", [PeerState.CONNECTED, PeerState.QUIET, PeerState.RESUMING, PeerState.AGREED]
)
@pytest.mark.parametrize(("pause", "end", "words"), PAUSES, ids=lambda value: str(value).split("(")[0])
def test_a_list_says_that_nothing_moves_and_not_how_a_talk_stood_before(
    pause: Event, end: Event, words: str, state: PeerState
) -> None:
    model = ChatModel("alice")
    for event in (ONLINE, OPENED, PeerChanged("bob", state)):
        model.take(event)
    talk = model.talk("bob")
    before, lively = brief(model, talk), is_lively(model, talk)
    assert before != words
    assert lively == (state in {PeerState.CONNECTED, PeerState.QUIET})
    model.take(pause)
    assert (brief(model, talk), is_lively(model, talk)) == (words, False)
    model.take(end)
    assert (brief(model, talk), is_lively(model, talk)) == (before, lively)


def test_what_needs_no_round_is_said_all_the_same() -> None:
    model = ChatModel("alice")
    for event in (ONLINE, PeerChanged("bob", PeerState.ASKING), KeepingChanged("The disk is full.")):
        model.take(event)
    assert brief(model, model.talk("bob")) == "asked, waiting"
    assert brief(model, model.talk("carol")) == ""


def test_a_group_is_told_that_rounds_pause_too() -> None:
    model = ChatModel("alice")
    members = ("alice", "bob")
    joined = GroupChanged("#00", "Chess", members, frozenset(members), "alice", GroupState.JOINED)
    for event in (ONLINE, OPENED, joined, PeerChanged("bob", PeerState.CONNECTED), StandingBy(1, 3)):
        model.take(event)
    assert about(model, model.talk("#00")) == "Rounds pause. What you send waits until they go on."


@pytest.mark.parametrize(("pause", "end", "words"), PAUSES, ids=lambda value: str(value).split("(")[0])
def test_status_in_a_terminal_says_it_too(pause: Event, end: Event, words: str) -> None:
    standing = Standing("bob")
    for event in (ONLINE, PeopleChanged(("alice", "bob")), OPENED, PeerChanged("bob", PeerState.CONNECTED)):
        standing.take(event)
    before = standing.status()
    standing.take(pause)
    assert len(standing.status()) == len(before) + 1
    standing.take(end)
    assert standing.status() == before


def test_who_is_online_is_not_told_once_it_is_not_known_any_more() -> None:
    standing = Standing("bob")
    for event in (ONLINE, PeopleChanged(("alice", "bob")), OPENED):
        standing.take(event)
    assert "included: 24" in standing.who()[1]
    standing.take(ConnectionChanged(ConnectionState.WAITING))
    assert "included: not known" in standing.who()[1]
