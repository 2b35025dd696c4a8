"""When a client sends its prekey: by the calendar and by connecting, and never otherwise."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest

from iirs.client.account.account import Account, Environment, SessionStart
from iirs.client.engine import Engine
from iirs.client.store.store import ClientStore
from iirs.errors import DirectoryError
from iirs.geometry import VAULT_SIZE, BatchKind
from iirs.message import Message, MessageKind
from iirs.onion import EntryChannel, channel_period
from iirs.prekey import Prekey
from iirs.wire.accounts import AccountRecord
from iirs.wire.rounds import (
    NOTHING_BEFORE,
    Announcement,
    Replies,
    RoundFlags,
    RoundStatus,
    announcement_hash,
)
from tests.builders import make_chain, make_directory, make_prekey, person

KEYS = make_chain(prekey_rounds=10)
CHAIN = KEYS.chain
DIRECTORY = make_directory(CHAIN, "alice", "bob", "carol")


class Rounds:
    """An engine and the announcements it is shown, without a server."""

    def __init__(self, engine: Engine, number: int) -> None:
        self.engine = engine
        self.number = number
        self.previous = NOTHING_BEFORE

    def log_in(self, prekeys: list[bytes] | None = None) -> None:
        record = AccountRecord(0, 0, bytes(VAULT_SIZE))
        channel = EntryChannel(bytes(32), b"", channel_period(self.number))
        raws = [entry.raw for entry in DIRECTORY.entries]
        self.engine.begin_session(
            SessionStart(record, channel, KEYS.head(DIRECTORY), raws, b"", prekeys or [])
        )

    def play(
        self,
        rounds: int = 1,
        prekeys: tuple[bytes, ...] = (),
        status: RoundStatus | None = RoundStatus.DONE,
    ) -> list[tuple[int, list[Message]]]:
        """Return number and write of each round; the round after carries no invitations."""
        seen = []
        for _ in range(rounds):
            self.number += 1
            head = KEYS.head(DIRECTORY)
            flags = RoundFlags.INVITE if self.number % 3 == 0 else RoundFlags.NONE
            announced = Announcement(
                self.previous, self.number, self.number, flags, 2000, 3, 1, (bytes(32),), head, 3, (), prekeys
            ).encode()
            self.previous = announcement_hash(announced)
            self.engine.open_round(announced)
            seen.append((self.number, self.engine.build_upload()))
            if status is not None:
                size, count = CHAIN.geometry.uploaded_size(BatchKind.CELL), CHAIN.geometry.circuits
                self.engine.close_round(Replies(self.number, status, (bytes(size),) * count))
        return seen


def rounds(store: ClientStore | None = None, number: int = 1000) -> Rounds:
    account = Account("alice", CHAIN, person("alice"), b"")
    return Rounds(
        Engine(account, store or ClientStore(":memory:", bytes(32)), Environment(lambda: number * 2.0)),
        number,
    )


def with_prekey(seen: list[tuple[int, list[Message]]]) -> list[int]:
    """The rounds whose write began with a prekey; every write ends with the one upload, after its onions."""
    found = []
    for number, write in seen:
        first, *rest = [message.kind for message in write]
        if first is MessageKind.PREKEY:
            found.append(number)
            first, *rest = rest
        invites = [MessageKind.INVITE] if number % 3 == 0 else []
        assert [first, *rest] == [MessageKind.SETUP, *invites, MessageKind.UPLOAD]
    return found


def chat(playing: Rounds) -> None:
    playing.engine.slots.ask("bob")
    playing.engine.messenger.send("bob", "hello")


@pytest.mark.parametrize("does", [lambda playing: None, chat], ids=["idle", "asking"])
def test_a_prekey_goes_with_the_first_upload_of_a_session_and_of_a_period_only(
    does: Callable[[Rounds], None],
) -> None:
    playing = rounds(number=1003)
    playing.log_in()
    does(playing)
    assert with_prekey(playing.play(30)) == [1004, 1010, 1020, 1030]
    playing.log_in()
    does(playing)
    assert with_prekey(playing.play(10)) == [1034, 1040]


@pytest.mark.parametrize("status", [RoundStatus.MISSING, None])
def test_a_prekey_that_may_not_have_arrived_goes_with_the_next_upload_too(status: RoundStatus | None) -> None:
    playing = rounds(number=1003)
    playing.log_in()
    assert with_prekey(playing.play(2, status=status)) == [1004, 1005]
    assert with_prekey(playing.play(3)) == [1006]
    playing = rounds(number=1003)
    playing.log_in()
    assert with_prekey(playing.play(2, status=RoundStatus.LOST)) == [1004], (
        "it arrived; the round failed later"
    )


def test_the_same_key_is_said_again_in_the_same_period_and_after_a_restart() -> None:
    store = ClientStore(":memory:", bytes(32))
    said = []
    for start in (1001, 1003, 1007):
        playing = rounds(store, start)
        playing.log_in()
        said.append(playing.play()[0][1][0].body)
    first, second, third = (Prekey.decode(body) for body in said)
    assert first.public == second.public == third.public
    first.verify(CHAIN.chain_id, DIRECTORY.entries[0])
    playing = rounds(ClientStore(":memory:", bytes(32)), 1008)
    playing.log_in()
    assert Prekey.decode(playing.play()[0][1][0].body).public != first.public


def test_a_bad_prekey_at_login_or_in_an_announcement_is_not_believed() -> None:
    playing = rounds()
    bad = replace(make_prekey(DIRECTORY, "bob", 100), signature=bytes(64)).encode()
    with pytest.raises(DirectoryError, match="not signed"):
        playing.log_in([bad])
    playing.log_in([make_prekey(DIRECTORY, "bob", 100).encode()])
    with pytest.raises(DirectoryError, match="not signed"):
        playing.play(prekeys=(bad,))


def test_somebody_whose_prekey_is_not_known_is_asked_once_it_is() -> None:
    playing = rounds()
    playing.log_in()
    playing.engine.slots.ask("bob")
    conversation = playing.engine.slots.conversations["bob"]
    for prekeys, asked in (((), False), ((make_prekey(DIRECTORY, "bob", 100).encode(),), True)):
        playing.play(1, prekeys)
        while playing.number % 3:
            playing.play()
        assert (conversation._out is not None) == asked
    while playing.number < 1021:
        playing.play()
    assert playing.number % 3 == 1
    playing.play(2)
    assert conversation._out is None, "a key of period 100 is not used in period 102"
