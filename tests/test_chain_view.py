"""What a client believes of the list of people, in one session and from one to the next."""

from __future__ import annotations

from dataclasses import dataclass, field

import pytest

from iirs.client.account.account import Account, SessionStart
from iirs.client.chain_view import ChainView
from iirs.client.store.store import ClientStore
from iirs.errors import DirectoryError, PeerError
from iirs.geometry import VAULT_SIZE
from iirs.onion import EntryChannel
from iirs.wire.accounts import AccountRecord
from iirs.wire.rounds import NOTHING_BEFORE, Announcement, RoundFlags
from tests.builders import make_chain, make_directory, person

KEYS = make_chain(2)
FULL = make_directory(KEYS.chain, "alice", "bob", "carol", "dave")
RAW = [entry.raw for entry in FULL.entries]


@dataclass
class Alice:
    """One client's view, and what is kept of it when her program ends."""

    store: ClientStore = field(default_factory=lambda: ClientStore(":memory:", bytes(32)))
    disk_takes: bool = True

    def __post_init__(self) -> None:
        self.start_program()

    def start_program(self) -> None:
        self.view = ChainView(Account("alice", KEYS.chain, person("alice"), b""), self.store)

    def log_in(self, length: int) -> None:
        record = AccountRecord(0, 0, bytes(VAULT_SIZE))
        head, channel = KEYS.head(FULL, length), EntryChannel(bytes(32), b"", 0)
        self.view.begin_session(SessionStart(record, channel, head, RAW[:length], b"", []))
        self._keep()

    def be_announced(self, length: int, start: int) -> None:
        head, keys = KEYS.head(FULL, length), (bytes(32),) * 2
        increment = tuple(RAW[start:length])
        self.view.take_directory(
            Announcement(NOTHING_BEFORE, 7, 7, RoundFlags.NONE, 2000, 5, 1, keys, head, start, increment)
        )
        self._keep()

    def _keep(self) -> None:
        if self.disk_takes:
            self.view.keep_head()


@pytest.mark.parametrize("restarted", [False, True], ids=["running on", "started anew"])
@pytest.mark.parametrize("grown_by", ["login", "announcement"])
def test_a_directory_that_went_back_is_refused_at_the_next_connection(
    grown_by: str, *, restarted: bool
) -> None:
    """Fixed: a client that ran on, with all of it in memory, noticed nothing until it was started anew."""
    alice = Alice()
    alice.log_in(4 if grown_by == "login" else 2)
    if grown_by == "announcement":
        alice.be_announced(4, start=2)
    if restarted:
        alice.start_program()
    for shorter in (1, 3):
        with pytest.raises(DirectoryError, match="does not continue"):
            alice.log_in(shorter)
    alice.log_in(4)


def test_it_is_refused_too_by_who_runs_on_with_a_full_disk() -> None:
    alice = Alice()
    alice.log_in(2)
    alice.disk_takes = False
    alice.log_in(4)
    with pytest.raises(DirectoryError, match="does not continue"):
        alice.log_in(3)


def test_what_was_announced_does_not_go_back_within_a_session_or_from_one_to_the_next() -> None:
    alice = Alice()
    alice.log_in(4)
    alice.be_announced(2, start=1)  # in order: the rest has only not been announced yet
    alice.be_announced(3, start=2)
    with pytest.raises(DirectoryError, match="older list"):
        alice.be_announced(2, start=2)
    alice.log_in(4)
    with pytest.raises(DirectoryError, match="older list"):
        alice.be_announced(2, start=2)
    alice.be_announced(4, start=3)


@pytest.mark.parametrize(("length", "start"), [(3, 3), (4, 3), (4, 4)])
def test_a_part_that_was_left_out_is_a_reason_to_connect_again_and_no_alarm(length: int, start: int) -> None:
    alice = Alice()
    alice.log_in(2)
    with pytest.raises(PeerError, match="is missing"):
        alice.be_announced(length, start)
    alice.log_in(4)
    alice.be_announced(length, start)
