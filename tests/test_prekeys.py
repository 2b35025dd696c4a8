"""Prekeys: renewed by the calendar, erased, handed out; and two people agree, or neither does."""

from __future__ import annotations

import math
import os
import shutil
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from iirs.client.account.account import Account, Environment, SessionStart
from iirs.client.account.own_prekeys import OwnPrekeys
from iirs.client.account.password_keys import storage_key
from iirs.client.engine import Engine
from iirs.client.events import ConnectionChanged, PeerAsks, PeerChanged
from iirs.client.invitations import Invitation
from iirs.client.server_connection import ServerConnection
from iirs.client.store.store import ClientStore
from iirs.errors import ConfigError, DirectoryError, InvitationError, PeerError
from iirs.geometry import PREKEY_SIZE, VAULT_SIZE, BatchKind
from iirs.message import Message, MessageKind
from iirs.onion import EntryChannel, channel_period
from iirs.prekey import KnownPrekeys, Prekey, is_current
from iirs.server.accounts.database import Storage
from iirs.server.accounts.prekey_store import PrekeyStore
from iirs.server.service import ServiceSettings
from iirs.suite import HYBRID
from iirs.wire.accounts import AccountRecord
from iirs.wire.limits import CloseReason
from iirs.wire.rounds import (
    NOTHING_BEFORE,
    Announcement,
    Bundle,
    Replies,
    RoundFlags,
    RoundStatus,
    announcement_hash,
)
from tests.builders import make_chain, make_directory, make_prekey, person, prekey_pair
from tests.effort import examples
from tests.harness import FAST_BACKOFF, Person, Town, town, wait_until
from tests.pair import INVITE_EVERY, TALKING_AGAIN, Pair
from tests.raw import Session, greeted, logged_in

KEYS = make_chain(prekey_rounds=10)
CHAIN = KEYS.chain
DIRECTORY = make_directory(CHAIN, "alice", "bob", "carol")


# -- what a client knows of others -------------------------------------------------------------------------


def book(*prekeys: Prekey) -> KnownPrekeys:
    known = KnownPrekeys()
    known.take_in([prekey.encode() for prekey in prekeys], DIRECTORY)
    return known


def test_the_later_period_counts_and_within_one_what_was_shown_later() -> None:
    old, new = make_prekey(DIRECTORY, "bob", 7), make_prekey(DIRECTORY, "bob", 8)
    elsewhere = make_prekey(DIRECTORY, "bob", 8, machine=" elsewhere")
    assert book(old, new).newest(1, 8) == new
    assert book(new, old).newest(1, 8) == new
    assert book(new, elsewhere).newest(1, 8) == elsewhere
    assert book(elsewhere, new).newest(1, 8) == new
    assert book(new).newest(0, 8) is None


@pytest.mark.parametrize(("now", "usable"), [(7, True), (8, True), (9, False), (6, False), (700, False)])
def test_a_prekey_is_used_in_its_own_period_and_the_next_only(now: int, *, usable: bool) -> None:
    prekey = make_prekey(DIRECTORY, "bob", 7)
    assert book(prekey).newest(1, now) == (prekey if usable else None)


def test_records_of_which_one_is_bad_leave_nothing_behind() -> None:
    good, bad = make_prekey(DIRECTORY, "alice", 7), make_prekey(DIRECTORY, "bob", 7)
    known = KnownPrekeys()
    for spoiled in (
        replace(bad, position=0),
        replace(bad, position=3),
        replace(bad, period=8),
        replace(bad, public=good.public),
        replace(bad, signature=bytes(64)),
    ):
        with pytest.raises(DirectoryError):
            known.take_in([good.encode(), spoiled.encode()], DIRECTORY)
    assert known.newest(0, 7) is None
    known.take_in([good.encode(), bad.encode()], DIRECTORY)
    assert known.newest(0, 7) == good


# -- what a client has of its own --------------------------------------------------------------------------


def test_renewing_keeps_this_periods_key_and_the_last_ones_and_nothing_older() -> None:
    own = OwnPrekeys()
    seventh = own.renew(7)
    assert own.renew(7) == seventh
    eighth = own.renew(8)
    assert [pair.public_bytes for pair in own.pairs] == [eighth, seventh]
    ninth = own.renew(9)
    assert [pair.public_bytes for pair in own.pairs] == [ninth, eighth]
    assert [period for period, _ in own.to_state()] == [9, 8]
    own.renew(20)
    assert len(own.pairs) == len(own.ids) == 1


def test_own_prekeys_are_read_back_and_damaged_ones_are_made_anew() -> None:
    own = OwnPrekeys()
    own.renew(7)
    own.renew(8)
    again = OwnPrekeys(own.to_state())
    assert again.ids == own.ids
    again.renew(8)
    assert again.ids == own.ids
    for damaged in (
        None,
        7,
        "keys",
        [7],
        [[7, "ff"]],
        [[7, 8]],
        [[math.inf, "ff"]],
        [["x", own.to_state()[0][1]]],
    ):
        assert OwnPrekeys(damaged).pairs == ()


def test_no_private_key_shows_in_a_log() -> None:
    own = OwnPrekeys()
    own.renew(7)
    assert own.to_state()[0][1] not in f"{own!r} {own.pairs!r} {own.__dict__!r}"


# -- both agree or neither ----------------------------------------------------------------------------------

Event = tuple[int, str]
events = st.tuples(
    st.sampled_from([0, 1]),
    st.sampled_from(["learns", "forgets", "other machine", "first machine", "renewal", "nothing"]),
)
plans = st.lists(st.lists(events, max_size=4), max_size=6)
"""What happens before each bundle, and to whom."""


class Changing:
    """A pair whose prekeys change: each side has two machines, and knows what it was last shown."""

    def __init__(self) -> None:
        self.pair = Pair()
        self.machines = [[side.own_prekeys, OwnPrekeys()] for side in self.pair.sides]
        self.pair.want()

    def happens(self, who: int, what: str) -> None:
        side, peer = self.pair.sides[who], self.pair.sides[1 - who]
        if what == "learns":
            side.known = peer.prekey
        elif what == "forgets":
            side.known = None
        elif what == "renewal":
            for each in self.pair.sides:
                each.period += 1
                each.own_prekeys.renew(each.period)
        elif what != "nothing":
            side.own_prekeys = self.machines[who][what == "other machine"]
            side.own_prekeys.renew(side.period)
            side.do("discard")  # what was agreed stays on the machine it was agreed on

    def bundle(self) -> set[int]:
        """Play to the next bundle; return who agrees on a conversation through it."""
        for _ in range(INVITE_EVERY):
            self.pair.play()
            if self.pair.last.bundled:
                break
        return {
            index
            for index, side in enumerate(self.pair.sides)
            if side.conversation.sync is not None
            and side.conversation.sync.last_heard == self.pair.number + 1
        }


def both_agree_or_neither(plan: list[list[Event]]) -> None:
    world = Changing()
    for before in plan:
        for who, what in before:
            world.happens(who, what)
        assert world.bundle() in (set(), {0, 1}), "one alone would post to shared drops"


BOB_RENEWED = [[(1, "renewal")]]
BOB_ELSEWHERE = [[(1, "other machine")]]
BOB_UNKNOWN = [[(0, "forgets")]]
ALL_OF_IT = [[(0, "forgets"), (1, "other machine")], [(1, "renewal"), (1, "learns")], [(0, "learns")]]


@settings(max_examples=examples(24))
@given(plans)
@example(BOB_RENEWED)
@example(BOB_ELSEWHERE)
@example(BOB_UNKNOWN)
@example(ALL_OF_IT)
def test_both_agree_or_neither_whatever_became_of_their_prekeys(plan: list[list[Event]]) -> None:
    both_agree_or_neither(plan)


class _Everything(tuple[bytes, ...]):
    def __contains__(self, _: object) -> bool:
        return True


def test_without_looking_whether_the_peer_can_open_ours_one_would_be_alone(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    honest = Invitation._decode

    def careless(data: bytes) -> Invitation:
        invitation = honest(data)
        return replace(invitation, prekey_ids=_Everything(invitation.prekey_ids))

    monkeypatch.setattr(Invitation, "_decode", careless)
    both_agree_or_neither(BOB_RENEWED)
    both_agree_or_neither(BOB_UNKNOWN)
    with pytest.raises(AssertionError, match="one alone"):
        both_agree_or_neither(BOB_ELSEWHERE)


@pytest.mark.parametrize(
    ("before", "agree"),
    [
        ([(1, "renewal")], True),
        ([(1, "renewal"), (1, "renewal")], False),
        ([(0, "learns"), (1, "other machine")], False),
        ([(1, "other machine"), (0, "learns")], True),
        ([(1, "other machine"), (0, "learns"), (1, "first machine")], False),
        ([(0, "forgets")], False),
        ([(0, "forgets"), (1, "forgets")], False),
        ([(1, "renewal"), (1, "other machine"), (0, "learns")], True),
    ],
    ids=lambda value: " ".join(what for _, what in value) if isinstance(value, list) else str(value),
)
def test_what_it_takes_to_agree(before: list[Event], *, agree: bool) -> None:
    world = Changing()
    for who, what in before:
        world.happens(who, what)
    assert world.bundle() == ({0, 1} if agree else set())
    for who in (0, 1):
        world.happens(who, "learns")
    if not agree:
        assert world.bundle() == {0, 1}, "they keep asking, and agree once the keys are known"


@settings(max_examples=examples(8))
@given(plans)
def test_once_the_prekeys_are_known_the_two_are_talking_in_time(plan: list[list[Event]]) -> None:
    world = Changing()
    for before in plan:
        for who, what in before:
            world.happens(who, what)
        world.bundle()
    for who in (0, 1):
        world.happens(who, "learns")
    records = world.pair.run(TALKING_AGAIN)
    assert any(record.heard == {0, 1} for record in records)


def test_an_end_to_somebody_without_a_prekey_of_these_periods_counts_as_said() -> None:
    pair = Pair()
    conversation = pair.sides[0].conversation
    for known, posted in ((pair.sides[0].known, True), (None, False)):
        conversation._end_invitations = 2
        pair.sides[0].known = known
        for left in (1, 0):
            sealed = conversation.invitation(pair.number, pair.sides[0].prekeys)
            assert (sealed is not None) == posted
            assert conversation._end_invitations == left
    assert not conversation.needs_slot


# -- the engine: by the calendar and by connecting, and never otherwise ----------------------------------


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


# -- the server's store --------------------------------------------------------------------------------------


def prekey_store(storage: Storage | None = None) -> PrekeyStore:
    return PrekeyStore(CHAIN, storage or Storage("sqlite://"), DIRECTORY.entries.__getitem__)


def test_what_is_new_is_announced_once_and_what_is_the_same_is_not() -> None:
    kept = prekey_store()
    alice = make_prekey(DIRECTORY, "alice", 100)
    kept.take(alice, 1000)
    kept.take(alice, 1000)
    assert kept.announce(3, 1000) == (alice.encode(),)
    kept.take(make_prekey(DIRECTORY, "alice", 100), 1005)  # the same key, signed again
    assert kept.announce(3, 1005) == ()
    elsewhere = make_prekey(DIRECTORY, "alice", 100, machine=" elsewhere")
    kept.take(elsewhere, 1005)
    assert kept.announce(3, 1006) == (elsewhere.encode(),)
    kept.take(alice, 1006)
    assert kept.announce(3, 1007) == (alice.encode(),)
    assert list(kept.known(3, 1007)) == [alice.encode()]


def test_so_many_are_announced_a_round_and_only_of_people_who_have_been(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("iirs.server.accounts.prekey_store.PREKEY_INCREMENT_MAX", 2)

    kept = prekey_store()
    prekeys = [make_prekey(DIRECTORY, name, 100) for name in ("carol", "alice", "bob")]
    for prekey in prekeys:
        kept.take(prekey, 1000)
    raws = [prekey.encode() for prekey in prekeys]
    assert kept.announce(0, 1000) == ()
    assert kept.announce(2, 1000) == (raws[1], raws[2])
    assert list(kept.known(2, 1000)) == [raws[1], raws[2]]
    assert kept.announce(2, 1001) == ()
    assert kept.announce(3, 1002) == (raws[0],)
    for prekey in (make_prekey(DIRECTORY, name, 100, "another") for name in ("carol", "alice", "bob")):
        kept.take(prekey, 1003)
    assert [len(kept.announce(3, 1003)) for _ in range(3)] == [2, 1, 0]


def test_a_renewed_prekey_takes_the_place_of_one_not_yet_announced() -> None:
    kept = prekey_store()
    kept.take(make_prekey(DIRECTORY, "alice", 99), 999)
    kept.take(make_prekey(DIRECTORY, "alice", 100), 1000)
    assert kept.announce(3, 1000) == (make_prekey_again("alice", 100, kept),)
    assert kept.announce(3, 1000) == ()


def make_prekey_again(name: str, period: int, kept: PrekeyStore) -> bytes:
    (raw,) = kept.known(3, period * 10)
    assert Prekey.decode(raw).public == prekey_pair(name, period).public_bytes
    return raw


def test_a_prekey_of_a_period_that_is_over_is_thrown_away_and_one_too_early_refused() -> None:
    kept = prekey_store()
    for period in (98, 99, 100):
        kept.take(make_prekey(DIRECTORY, "alice", period), 1000)
        assert len(kept.known(3, 1000)) == (period > 98)
    kept.take(make_prekey(DIRECTORY, "alice", 99), 1000)
    assert Prekey.decode(*kept.known(3, 1000)).period == 100
    with pytest.raises(PeerError, match="not begun"):
        kept.take(make_prekey(DIRECTORY, "alice", 101), 1000)


def test_nobody_signs_for_somebody_else() -> None:
    kept = prekey_store()
    alice = make_prekey(DIRECTORY, "alice", 100)
    for bad in (replace(alice, position=1), replace(alice, signature=bytes(64)), replace(alice, period=99)):
        with pytest.raises(PeerError, match="did not sign"):
            kept.take(bad, 1000)
    assert list(kept.known(3, 1000)) == []


def test_prekeys_nobody_may_use_any_more_are_not_handed_out_and_forgotten() -> None:
    storage = Storage("sqlite://")
    kept = prekey_store(storage)
    kept.take(make_prekey(DIRECTORY, "alice", 100), 1000)
    kept.take(make_prekey(DIRECTORY, "bob", 100), 1000)
    assert kept.announce(0, 1000) == ()
    assert len(kept.known(3, 1019)) == len(storage.prekeys()) == 2
    assert list(kept.known(3, 1020)) == []
    carol = make_prekey(DIRECTORY, "carol", 102)
    kept.take(carol, 1020)
    assert kept.announce(3, 1020) == (carol.encode(),)
    assert storage.prekeys() == [carol.encode()]
    assert kept.announce(3, 1021) == ()


def test_a_thousand_renewals_in_one_round_are_stored_together(tmp_path: Path) -> None:
    storage = Storage(f"sqlite:///{tmp_path / 'server.sqlite'}")
    for generation in (b"a", b"b"):
        storage.keep_prekeys(dict.fromkeys(range(1000), generation * PREKEY_SIZE))
        assert storage.prekeys() == [generation * PREKEY_SIZE] * 1000
    storage.keep_prekeys({}, range(999))
    assert storage.prekeys() == [b"b" * PREKEY_SIZE]


def test_prekeys_survive_a_restart_and_are_not_announced_again(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path / 'server.sqlite'}"
    storage = Storage(url)
    kept = prekey_store(storage)
    for machine in (" one", " two"):
        kept.take(make_prekey(DIRECTORY, "alice", 100, machine), 1000)
        newest = kept.announce(3, 1000)
    storage.close()
    again = prekey_store(Storage(url))
    assert list(again.known(3, 1001)) == list(newest)
    assert again.announce(3, 1001) == ()
    again.take(Prekey.decode(newest[0]), 1001)
    assert again.announce(3, 1002) == ()


def test_a_database_with_a_prekey_that_does_not_verify_is_refused() -> None:
    alice = make_prekey(DIRECTORY, "alice", 100)
    for bad in (replace(alice, position=7), replace(alice, signature=bytes(64))):
        storage = Storage("sqlite://")
        storage.keep_prekeys({0: bad.encode()})
        with pytest.raises(ConfigError, match="database is damaged"):
            prekey_store(storage)


# -- over a real server -------------------------------------------------------------------------------------


class Uploading:
    """An account whose prekeys a test makes by hand."""

    def __init__(self, place: Town, name: str) -> None:
        self.place = place
        self.account = place.register(name)
        self.pair = HYBRID.generate()

    def session(self) -> Session:
        return logged_in(self.place.port, self.account)

    def prekey(self, session: Session, **changes: Any) -> Message:
        chain = self.place.service.chain
        period = changes.pop("period", chain.period(session.announcement.round_number))
        directory = self.place.service.accounts._directory
        position = directory.position(self.account.name)
        made = Prekey.create(self.account.identity, directory, position, period, self.pair.public_bytes)
        return Message(MessageKind.PREKEY, replace(made, **changes).encode())


BAD: dict[str, Callable[[Uploading, Session], list[Message]]] = {
    "random bytes": lambda who, session: [Message(MessageKind.PREKEY, os.urandom(PREKEY_SIZE))],
    "somebody else's place": lambda who, session: [who.prekey(session, position=0)],
    "a place that is not there": lambda who, session: [who.prekey(session, position=99)],
    "no signature": lambda who, session: [who.prekey(session, signature=bytes(64))],
    "another key": lambda who, session: [who.prekey(session, public=HYBRID.generate().public_bytes)],
    "a key of small order": lambda who, session: [
        who.prekey(session, public=who.pair.public_bytes[:-32] + bytes(32))
    ],
    "a period that has not begun": lambda who, session: [who.prekey(session, period=2**63)],
    "the same again": lambda who, session: [who.prekey(session)] * 2,
    "an older one after it": lambda who, session: [
        who.prekey(session),
        who.prekey(session, period=who.place.service.chain.period(session.announcement.round_number) - 1),
    ],
    "a byte too many": lambda who, session: [Message(MessageKind.PREKEY, bytes(PREKEY_SIZE + 1))],
}


def test_a_prekey_that_may_not_come_closes_that_connection_alone(tmp_path: Path) -> None:
    with town(tmp_path, round_seconds=0.1) as place:
        alice = place.person("alice")
        carol = Uploading(place, "carol")
        for name, make in BAD.items():
            session = carol.session()
            with session.end as end:
                end.say(*make(carol, session))
                assert end.ending() is CloseReason.PROTOCOL, name
        session = carol.session()
        with session.end as end:
            end.say(carol.prekey(session, period=0))  # too late by ages: thrown away, like a late upload
            session.next_announcement()
            end.say(carol.prekey(session), session.upload())
            for _ in range(5):
                session.next_announcement()
        wait_until(lambda: knows_prekey(alice, 1))
        assert not [e for e in alice.drain() if isinstance(e, ConnectionChanged) and e.sentence]


def knows_prekey(who: Person, position: int) -> bool:
    """Whether this client has been shown a prekey of the person at a position in the directory."""
    return position in who.connection._engine.chain_view._prekeys._newest


def test_a_connection_that_was_replaced_does_not_bring_its_old_key_back(tmp_path: Path) -> None:
    with town(tmp_path, paced=False) as place:
        alice = Uploading(place, "alice")
        place.service.run_round()
        old, new = (_Connection(0) for _ in range(2))
        number = place.service._announcer.last_round
        period, directory = place.service.chain.period(number), place.service.accounts._directory
        keys = [
            Prekey.create(alice.account.identity, directory, 0, period, HYBRID.generate().public_bytes)
            for _ in range(2)
        ]
        place.service._sessions[0] = new  # type: ignore[assignment]
        place.service.keep_prekey(new, keys[1])  # type: ignore[arg-type]
        place.service.keep_prekey(old, keys[0])  # type: ignore[arg-type]
        assert list(place.service.prekeys.known(1, number)) == [keys[1].encode()]
        del place.service._sessions[0]


@dataclass
class _Connection:
    position: int
    prekey_period: int = -1
    prekey_round: int = -1


def test_a_prekey_before_the_login_may_not_come(tmp_path: Path) -> None:
    with town(tmp_path, paced=False) as place:
        end, _ = greeted(place.port)
        with end:
            end.say(Message(MessageKind.PREKEY, bytes(PREKEY_SIZE)))
            assert end.ending() is CloseReason.PROTOCOL


def elsewhere(place: Town, account: Account, name: str) -> Person:
    """Connect an account on a machine that has nothing of its."""
    path = place.folder / f"{name}.store"
    connection = ServerConnection(
        place.link, account, ClientStore(path, storage_key(account.identity)), FAST_BACKOFF
    )
    there = Person(account.name, account, connection, path)
    place.people[name] = there
    connection.start()
    return there


def times_established(who: Person, peer: str) -> int:
    return sum(isinstance(e, PeerChanged) and e.peer == peer and e.established for e in who.drain())


def test_from_another_machine_in_the_same_period_one_is_reached_and_back_again(tmp_path: Path) -> None:
    with town(tmp_path, round_seconds=0.1) as place:
        alice, bob = place.person("alice"), place.person("bob")
        place.introduce(alice, bob)
        there = elsewhere(place, alice.account, "alice elsewhere")
        wait_until(lambda: not alice.connection._thread.is_alive())  # replaced
        there.connection.ask("bob")
        there.wait_established("bob")
        wait_until(lambda: times_established(bob, "alice") == 2)
        back = place.connect(alice.account)
        wait_until(lambda: not there.connection._thread.is_alive())
        back.connection.ask("bob")
        back.wait_established("bob")
        wait_until(lambda: times_established(bob, "alice") == 3)
        back.connection.send("bob", "back again")
        wait_until(lambda: "back again" in bob.texts())
        period = place.service.chain.period(place.service._announcer.last_round)
        assert {prekey.period for prekey in place.service.prekeys._newest.values()} == {period}


# -- what a thief of the account finds ----------------------------------------------------------------------

ENVIRONMENT = Environment(clock=lambda: 1_700_000_000.0)
SETTINGS = ServiceSettings(clock=ENVIRONMENT.clock)
PERIOD = 9


class Tapped:
    """Every bundle that was public, by its round: alice asks for bob in all of them, and nobody answers."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.bundles: list[Bundle] = []
        self.stolen: dict[int, Path] = {}
        """The round after which bob's file was copied -> the copy."""

    def run(self, steals: tuple[int, ...]) -> None:
        """Play six periods, and copy bob's file after the given numbers of rounds."""
        with town(
            self.folder, round_seconds=0.04, settings=SETTINGS, prekey_rounds=PERIOD, paced=False
        ) as place:
            chain = place.service.chain

            def tap(way: str, message: Message) -> None:
                if way == "down" and message.kind is MessageKind.BUNDLE:
                    self.bundles.append(Bundle.decode(message.body, chain))

            alice = place.person("alice", tap=tap, environment=ENVIRONMENT)
            bob = place.person("bob", environment=ENVIRONMENT)
            wait_until(lambda: len(place.service.channels()) == 2)
            place.service.run_round()
            place.step()
            alice.connection.ask("bob")
            for number in range(1, max(steals) + 1):
                place.step()
                if number in steals:
                    wait_until(lambda: place.service.mix_net.collected == 2)
                    self.stolen[place.service._announcer.last_round] = self._copy(bob.store_path)
            bob.wait_for(PeerAsks)
            self.chain, self.identity = chain, bob.account.identity
            self.directory = place.service.accounts._directory

    def _copy(self, path: Path) -> Path:
        copy = self.folder / f"stolen-{len(self.stolen)}.store"
        shutil.copy(path, copy)
        return copy

    def opened(self, taken_at: int) -> set[int]:
        """Return the rounds whose invitations somebody opens who has bob's key and that copy of his file."""
        store = ClientStore(self.stolen[taken_at], storage_key(self.identity))
        pairs = OwnPrekeys(store.get("prekeys")).pairs
        store.close()
        found = set()
        bob = self.directory.lookup("bob")
        for bundle in self.bundles:
            for sealed in bundle.invitations:
                try:
                    Invitation.open(sealed, self.directory, pairs, bob, bundle.round_number)
                except InvitationError:
                    continue
                found.add(bundle.round_number)
        return found


def test_a_stolen_account_opens_no_invitation_of_earlier_periods(tmp_path: Path) -> None:
    tapped = Tapped(tmp_path)
    tapped.run((2 * PERIOD, 4 * PERIOD, 6 * PERIOD))
    asked: set[int] = set()
    for taken_at in tapped.stolen:
        period = tapped.chain.period(taken_at)
        opened = tapped.opened(taken_at)
        assert opened, "the last two periods' are what remains"
        assert all(period - 1 <= tapped.chain.period(number) <= period + 1 for number in opened)
        assert opened.isdisjoint(asked)
        asked |= opened
    assert min(asked) < min(tapped.opened(max(tapped.stolen))) - 2 * PERIOD


def test_a_stolen_account_would_open_them_all_if_nothing_were_erased(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    hoard: dict[str, dict[int, str]] = {}
    honest = OwnPrekeys.to_state

    def hoarding(own: OwnPrekeys) -> list[list[int | str]]:
        kept = hoard.setdefault(str(id(own)), {})
        kept.update({int(period): str(private) for period, private in honest(own)})
        return [[period, private] for period, private in kept.items()]

    monkeypatch.setattr(OwnPrekeys, "to_state", hoarding)
    tapped = Tapped(tmp_path)
    tapped.run((6 * PERIOD,))
    (taken_at,) = tapped.stolen
    oldest = min(tapped.opened(taken_at))
    assert tapped.chain.period(taken_at) - tapped.chain.period(oldest) > 3
    assert not is_current(tapped.chain.period(oldest), tapped.chain.period(taken_at))
