"""``ChatSession`` by example: fragments, acknowledgements, duplicates, keeping, and hostile peers."""

from __future__ import annotations

import json
import math
import os
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from iirs.client.chat_session import (
    FRAGMENTS_MAX,
    TEXT_MAX,
    WINDOW,
    ChatSession,
    clean_text,
)
from iirs.client.store.log_entry import Fragment, Item, ItemKind
from iirs.errors import AccountError, StoreError
from iirs.message import PAYLOAD_MAX, ContentKind, PeerMessage
from tests.effort import examples

CONVERSATION = b"c" * 16
NOW = 1_700_000_000_000


class Talker:
    """A chat and the texts its person has seen."""

    def __init__(self) -> None:
        self.seen: list[Item] = []
        self.chat = ChatSession(os.urandom, self.has)
        self.chat.begin(CONVERSATION)

    def has(self, text_id: bytes) -> bool:
        return any(text.item_id == text_id for text in self.seen)

    @property
    def texts(self) -> list[str]:
        return [text.text for text in self.seen]

    def hear(self, *messages: PeerMessage) -> list[Item]:
        delivered = []
        for message in messages:
            self.seen += self.chat.receive(message)
            delivered += self.chat.take_delivered()
        return delivered

    def restart(self) -> None:
        state = json.loads(json.dumps(self.chat.to_state()))
        fragments = self.chat.fragments()
        self.chat = ChatSession(os.urandom, self.has, self.chat.outbox, state, fragments=fragments)


def two() -> tuple[Talker, Talker]:
    return Talker(), Talker()


def fragment(sequence: int, text: bytes = b"x", **fields: Any) -> PeerMessage:
    """A fragment a peer sends; by default a whole text of its own."""
    base = PeerMessage(
        sequence=sequence, kind=ContentKind.TEXT, text_id=os.urandom(16), fragments=1, payload=text
    )
    return replace(base, **fields)


# -- there and back -------------------------------------------------------------------------------------


def test_a_text_goes_there_and_its_acknowledgement_back() -> None:
    alice, bob = two()
    item = alice.chat.send("hello", NOW)
    assert bob.hear(*alice.chat.compose(1)) == []
    assert bob.seen == [Item(item.item_id, ItemKind.TEXT, b"hello", NOW)]
    assert alice.hear(*bob.chat.compose(2)) == [item]
    assert alice.chat.outbox == []
    assert all(message.kind is ContentKind.IDLE for message in alice.chat.compose(3))


def test_an_empty_text_is_a_text() -> None:
    alice, bob = two()
    alice.chat.send("", NOW)
    bob.hear(*alice.chat.compose(1))
    assert bob.texts == [""]


def test_the_longest_text_arrives_and_a_longer_one_is_refused_with_a_sentence() -> None:
    alice, bob = two()
    text = "é" * (TEXT_MAX // 2)
    with pytest.raises(AccountError, match="too long"):
        alice.chat.send(text + "!", NOW)
    assert alice.chat.outbox == []
    alice.chat.send(text, NOW)
    assert -(-len(alice.chat.outbox[0].data) // PAYLOAD_MAX) == FRAGMENTS_MAX
    for number in range(FRAGMENTS_MAX):
        bob.hear(*alice.chat.compose(number))
        alice.hear(*bob.chat.compose(number))
    assert bob.texts == [text]
    assert alice.chat.outbox == []


def test_a_lone_surrogate_becomes_a_question_mark() -> None:
    assert clean_text("a\ud800b") == "a?b"
    assert clean_text("ascii") == "ascii"
    assert clean_text("ü\N{SNOWMAN}") == "ü\N{SNOWMAN}"


def test_a_character_cut_by_a_fragment_is_put_together_again() -> None:
    alice, bob = two()
    text = "a" * (PAYLOAD_MAX - 1) + "\N{SNOWMAN}"
    alice.chat.send(text, NOW)
    bob.hear(*alice.chat.compose(1))
    assert bob.texts == [text]


def test_what_is_no_utf8_is_shown_with_replacement_characters() -> None:
    _, bob = two()
    bob.hear(fragment(0, b"\xff\xfe"))
    assert bob.texts == ["\ufffd\ufffd"]


# -- when to send ---------------------------------------------------------------------------------------


def test_a_fragment_waits_for_its_acknowledgement_before_it_is_repeated() -> None:
    alice, _ = two()
    alice.chat.send("hello", NOW)
    kinds = [[message.kind for message in alice.chat.compose(number)] for number in (1, 2, 3)]
    assert kinds == [
        [ContentKind.TEXT, ContentKind.IDLE],
        [ContentKind.IDLE, ContentKind.IDLE],
        [ContentKind.TEXT, ContentKind.IDLE],
    ]


def test_what_came_back_is_sent_again_at_once() -> None:
    alice, _ = two()
    alice.chat.send("hello", NOW)
    text, idle = alice.chat.compose(1)
    alice.chat.came_back(idle)
    alice.chat.came_back(text)
    again = alice.chat.compose(2)[0]
    assert (again.kind, again.text_id) == (ContentKind.TEXT, text.text_id)


def test_what_arrived_ahead_is_acknowledged_and_not_sent_again() -> None:
    alice, bob = two()
    for text in ("one", "two", "three"):
        alice.chat.send(text, NOW)
    one, two_ = alice.chat.compose(1)
    (three, _) = alice.chat.compose(2)
    bob.hear(three, two_)
    assert bob.texts == []
    assert bob.chat.compose(2)[0].acknowledged_bits == 0b11
    alice.hear(bob.chat.compose(3)[0])
    resent = [message for message in alice.chat.compose(9) if message.kind is ContentKind.TEXT]
    assert [message.sequence for message in resent] == [one.sequence]
    bob.hear(*resent)
    assert bob.texts == ["one", "two", "three"]


def test_no_more_than_a_window_is_under_way() -> None:
    alice, bob = two()
    for number in range(2 * WINDOW):
        alice.chat.send(str(number), NOW)
    sent = [message for _ in range(WINDOW) for message in alice.chat.compose(1)]
    sequences = {message.sequence for message in sent if message.kind is ContentKind.TEXT}
    assert max(sequences) == WINDOW
    bob.hear(*(message for message in sent if message.sequence))
    assert bob.texts == []
    assert bob.chat.compose(1)[0].acknowledged_bits == 2**WINDOW - 1
    bob.hear(sent[0])
    assert len(bob.texts) == WINDOW + 1


def test_the_sender_is_told_once_that_the_last_fragment_has_gone_out() -> None:
    alice, _ = two()
    item = alice.chat.send("x" * 3 * PAYLOAD_MAX, NOW)
    alice.chat.compose(1)
    assert alice.chat.take_sent() == []
    alice.chat.compose(2)
    assert alice.chat.take_sent() == [item]
    alice.chat.compose(4)
    assert alice.chat.take_sent() == []


def test_an_acknowledgement_in_the_middle_of_a_text_keeps_the_text() -> None:
    alice, bob = two()
    item = alice.chat.send("x" * 3 * PAYLOAD_MAX, NOW)
    bob.hear(*alice.chat.compose(1))
    assert alice.hear(*bob.chat.compose(1)) == []
    assert alice.chat.outbox == [item]
    assert alice.chat.compose(2)[0].fragment == 2


# -- another conversation -------------------------------------------------------------------------------


def test_a_new_conversation_sends_again_from_the_first_fragment_and_what_was_shown_is_dropped() -> None:
    alice, bob = two()
    alice.chat.send("shown", NOW)
    alice.chat.send("x" * 3 * PAYLOAD_MAX, NOW)
    bob.hear(*alice.chat.compose(1))
    for talker in (alice, bob):
        talker.chat.begin(b"d" * 16)
    first = alice.chat.compose(5)
    assert [message.sequence for message in first] == [0, 1]
    bob.hear(*first, *alice.chat.compose(6))
    assert bob.texts == ["shown", "x" * 3 * PAYLOAD_MAX]
    assert len(alice.hear(*bob.chat.compose(7))) == 2


def test_to_begin_the_same_conversation_again_changes_nothing() -> None:
    alice, bob = two()
    alice.chat.send("hello", NOW)
    bob.hear(*alice.chat.compose(1))
    before = bob.chat.to_state()
    bob.chat.begin(CONVERSATION)
    assert bob.chat.to_state() == before
    assert before["expected"] == 1


# -- hostile peers --------------------------------------------------------------------------------------


def test_the_same_text_twice_in_one_round_is_shown_once() -> None:
    """Fixed: the store, which knows nothing of the first yet, would have refused the second and ended us."""
    _, bob = two()
    message = fragment(0)
    arrived = bob.chat.receive(message) + bob.chat.receive(replace(message, sequence=1))
    assert len(arrived) == 1
    bob.seen += arrived
    bob.chat.compose(2)
    assert bob.chat.receive(replace(message, sequence=2)) == []


def test_a_fragment_received_already_or_beyond_the_window_is_not_kept() -> None:
    _, bob = two()
    bob.hear(fragment(0, b"one"), fragment(0, b"other"), fragment(WINDOW + 2), fragment(2**64 - 1))
    assert bob.texts == ["one"]
    assert bob.chat.fragments() == {}
    bob.hear(fragment(2, b"three"), fragment(2, b"changed"), fragment(1, b"two"))
    assert bob.texts == ["one", "two", "three"]


@pytest.mark.parametrize(
    "fields",
    [
        {"fragments": 0},
        {"fragments": FRAGMENTS_MAX + 1},
        {"fragment": 1, "fragments": 2},
        {"fragment": 5, "fragments": 2},
        {"fragment": 65535, "fragments": 65535},
    ],
)
def test_an_impossible_fragment_is_dropped_and_the_rest_goes_on(fields: dict[str, int]) -> None:
    _, bob = two()
    bob.hear(fragment(0, **fields), fragment(1, b"fine"))
    assert bob.texts == ["fine"]
    assert bob.chat.compose(1)[0].acknowledged == 2


def test_fragments_that_do_not_belong_together_are_dropped() -> None:
    _, bob = two()
    text_id = b"t" * 16
    first = fragment(0, text_id=text_id, fragments=3)
    bob.hear(first, fragment(1, fragment=1, fragments=3))
    bob.hear(fragment(2, text_id=text_id, fragment=2, fragments=3))
    bob.hear(replace(first, sequence=3), fragment(4, text_id=text_id, fragment=1, fragments=2))
    bob.hear(replace(first, sequence=5), fragment(6, text_id=text_id, fragment=2, fragments=3))
    assert bob.texts == []
    assert bob.chat.fragments() == {}


def test_a_text_that_is_given_up_for_another_is_not_mixed_into_it() -> None:
    _, bob = two()
    bob.hear(fragment(0, b"never ", fragments=2), fragment(1, b"whole"))
    assert bob.texts == ["whole"]


@pytest.mark.parametrize("acknowledged", [2, 2**64 - 1])
def test_an_acknowledgement_of_what_was_never_sent_is_nothing(acknowledged: int) -> None:
    alice, _ = two()
    item = alice.chat.send("hello", NOW)
    alice.chat.compose(1)
    assert alice.hear(PeerMessage(acknowledged=acknowledged, acknowledged_bits=2**64 - 1)) == []
    assert alice.chat.outbox == [item]
    assert alice.chat.compose(3)[0].text_id == item.item_id


def test_an_acknowledgement_older_than_what_is_known_is_nothing() -> None:
    alice, bob = two()
    for text in ("one", "two"):
        alice.chat.send(text, NOW)
    old = bob.chat.compose(0)[0]
    bob.hear(*alice.chat.compose(1))
    assert len(alice.hear(*bob.chat.compose(2))) == 2
    assert alice.hear(replace(old, acknowledged_bits=1)) == []
    alice.chat.send("three", NOW)
    assert alice.chat.compose(3)[0].sequence == 2


_hostile = st.builds(
    PeerMessage,
    sequence=st.one_of(st.integers(0, WINDOW + 2), st.integers(0, 2**64 - 1)),
    acknowledged=st.one_of(st.integers(0, 5), st.integers(0, 2**64 - 1)),
    acknowledged_bits=st.integers(0, 2**64 - 1),
    kind=st.sampled_from(ContentKind),
    text_id=st.sampled_from([bytes(16), b"a" * 16, b"b" * 16]),
    fragment=st.integers(0, 4),
    fragments=st.sampled_from([0, 1, 2, 3, FRAGMENTS_MAX, 65535]),
    payload=st.binary(max_size=8),
)


@settings(max_examples=examples(80))
@given(st.lists(_hostile, max_size=40))
def test_whatever_a_peer_says_no_text_is_shown_twice_and_the_state_stays_bounded_and_whole(
    said: list[PeerMessage],
) -> None:
    bob = Talker()
    for number in range(3):
        bob.chat.send(str(number), NOW)
    for number, message in enumerate(said):
        assert len(bob.chat.compose(number)) == 2
        bob.hear(message)
        if number % 7 == 6:
            bob.restart()
    assert len({text.item_id for text in bob.seen}) == len(bob.seen)
    assert len(bob.chat.fragments()) <= WINDOW + FRAGMENTS_MAX
    bob.restart()


# -- keeping --------------------------------------------------------------------------------------------


def test_both_go_on_after_a_restart_in_the_middle_of_a_text() -> None:
    alice, bob = two()
    text = "x" * 5 * PAYLOAD_MAX
    alice.chat.send(text, NOW)
    alice.chat.send("after", NOW)
    bob.hear(*alice.chat.compose(1))
    bob.hear(alice.chat.compose(2)[1])
    alice.restart()
    bob.restart()
    for number in range(3, 9):
        bob.hear(*alice.chat.compose(number))
        alice.hear(*bob.chat.compose(number))
    assert bob.texts == [text, "after"]
    assert alice.chat.outbox == []


@pytest.mark.parametrize(
    "damage",
    [
        {"conversation": "not hex"},
        {"out_base": None},
        {"expected": "many"},
        {"expected": math.inf},
    ],
)
def test_a_damaged_state_is_said_to_be(damage: dict[str, Any]) -> None:
    state = Talker().chat.to_state()
    with pytest.raises(StoreError, match="damaged"):
        ChatSession(os.urandom, lambda text_id: False, (), {**state, **damage})


@pytest.mark.parametrize("numbers", [[3], [0, 1], [0, 2], [2, 3, 4 + WINDOW]], ids=str)
def test_fragments_that_are_out_of_place_are_damage(numbers: list[int]) -> None:
    state = {**Talker().chat.to_state(), "expected": 3}
    kept = Fragment(bytes(16), 0, 9, ItemKind.TEXT, NOW, b"x")
    ChatSession(os.urandom, lambda text_id: False, (), state, fragments={1: kept, 2: kept, 4: kept})
    with pytest.raises(StoreError, match="damaged"):
        ChatSession(os.urandom, lambda text_id: False, (), state, fragments=dict.fromkeys(numbers, kept))


@pytest.mark.parametrize("missing", ["conversation", "out_base", "expected"])
def test_a_state_with_a_part_missing_is_damaged(missing: str) -> None:
    state = Talker().chat.to_state()
    del state[missing]
    with pytest.raises(StoreError, match="damaged"):
        ChatSession(os.urandom, lambda text_id: False, (), state)


def test_no_text_shows_in_a_log() -> None:
    alice, bob = two()
    item = alice.chat.send("secret words", NOW)
    messages = alice.chat.compose(1)
    bob.hear(*messages)
    assert "secret" not in repr([item, messages, bob.seen])
