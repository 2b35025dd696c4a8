"""Prekeys over a real server: from whom and when they may come, and what a thief of the account finds."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest

from iirs.client.account.account import Account, Environment
from iirs.client.account.own_prekeys import OwnPrekeys
from iirs.client.account.password_keys import storage_key
from iirs.client.events import ConnectionChanged, PeerAsks, PeerChanged
from iirs.client.invitations import Invitation
from iirs.client.server_connection import ServerConnection
from iirs.client.store.store import ClientStore
from iirs.errors import InvitationError
from iirs.geometry import PREKEY_SIZE
from iirs.message import Message, MessageKind
from iirs.prekey import Prekey, is_current
from iirs.server.service import ServiceSettings
from iirs.suite import HYBRID
from iirs.wire.limits import CloseReason
from iirs.wire.rounds import Bundle
from tests.harness import FAST_BACKOFF, Person, Town, town, wait_until
from tests.raw import Session, greeted, logged_in

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
