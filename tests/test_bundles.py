"""What the next announcement may say of a bundle, from both ends: ``docs/protocol.md`` section 9.

In the attacks the entry keeps an invitation round's bundle from alice alone. Her partner begins without her,
and the last hop sees the singles; so alice must leave before she uploads anything more.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pytest

from iirs.client import opening_bundle
from iirs.client.account.account import SessionStart
from iirs.client.engine import Engine
from iirs.client.events import ConnectionChanged, Notice, RoundClosed, RoundFate
from iirs.client.invitations import Invitation
from iirs.errors import ChainError, HopError
from iirs.geometry import VAULT_SIZE
from iirs.server.mix_net import RoundOutcome
from iirs.wire.accounts import AccountRecord
from iirs.wire.rounds import NO_BUNDLE, Bundle, Replies, RoundStatus, Standby
from tests.harness import Person, town, wait_until
from tests.open_chain import FIRST_ROUND, Client
from tests.worlds import Room

Deliver = Callable[[Engine, Replies, Bundle], None]


@dataclass
class Withheld(Room):
    """A room whose entry gives alice what it likes of each round with invitations."""

    to_alice: Deliver = lambda engine, replies, bundle: None
    withheld: int = field(default=0, init=False)

    def deliver(self, name: str, outcome: RoundOutcome) -> None:
        if name != "alice" or outcome.bundle is None:
            super().deliver(name, outcome)
            return
        self.withheld += 1
        self.to_alice(self.engines[name], outcome.replies[name], outcome.bundle)


def lost(engine: Engine, replies: Replies, bundle: Bundle) -> None:
    engine.close_round(replace(replies, status=RoundStatus.LOST))


def lost_with_bundle(engine: Engine, replies: Replies, bundle: Bundle) -> None:
    lost(engine, replies, bundle)
    engine.chain_view.take_bundle(bundle)


def done_without_bundle(engine: Engine, replies: Replies, bundle: Bundle) -> None:
    engine.close_round(replies)


def missing_without_bundle(engine: Engine, replies: Replies, bundle: Bundle) -> None:
    engine.close_round(replace(replies, status=RoundStatus.MISSING))


def nothing(engine: Engine, replies: Replies, bundle: Bundle) -> None:
    pass


def bundle_only(engine: Engine, replies: Replies, bundle: Bundle) -> None:
    engine.chain_view.take_bundle(bundle)


def standby(engine: Engine, replies: Replies, bundle: Bundle) -> None:
    engine.stand_by(Standby(1))


def standby_after_lost(engine: Engine, replies: Replies, bundle: Bundle) -> None:
    lost(engine, replies, bundle)
    engine.stand_by(Standby(1))


ATTACKS: list[Deliver] = [
    lost,
    lost_with_bundle,
    done_without_bundle,
    missing_without_bundle,
    nothing,
    bundle_only,
    standby,
    standby_after_lost,
]


@pytest.mark.parametrize("attack", ATTACKS, ids=lambda attack: attack.__name__)
@pytest.mark.parametrize("talk", [True, False], ids=["asking", "idle"])
def test_whoever_is_kept_from_a_bundle_that_others_got_leaves_before_she_uploads(
    attack: Deliver, *, talk: bool
) -> None:
    """Fixed: told LOST, she did not look for a bundle; her partner showed as two singles, for ever."""
    room = Withheld(talk, people=("alice", "bob"), to_alice=attack)
    with pytest.raises(ChainError, match="other invitations"):
        room.play(10)
    assert room.withheld == 1
    assert room.engines["alice"].build_upload() == []


def missing(engine: Engine, replies: Replies, bundle: Bundle) -> None:
    """What the server tells a client whose upload came too late."""
    engine.close_round(replace(replies, status=RoundStatus.MISSING))
    engine.chain_view.take_bundle(bundle)


def not_built(engine: Engine, replies: Replies, bundle: Bundle) -> None:
    """The same, to one that was so late that it had not built its upload when the round was over."""
    assert engine._round is not None
    engine._round.built = False
    missing(engine, replies, bundle)


def left_out(engine: Engine, replies: Replies, bundle: Bundle) -> None:
    """What she sees of a server that is ill, and has left her out for a round."""
    engine.chain_view._announced -= 1


def standby_in_between(engine: Engine, replies: Replies, bundle: Bundle) -> None:
    engine.close_round(replies)
    engine.chain_view.take_bundle(bundle)
    engine.stand_by(Standby(1))


@pytest.mark.parametrize("honest", [missing, not_built, left_out, standby_in_between])
def test_nobody_leaves_over_what_an_honest_server_does(honest: Deliver) -> None:
    room = Withheld(talk=True, people=("alice", "bob"), to_alice=honest)
    room.play(20)
    assert room.withheld == 4


def test_whoever_connected_anew_in_between_takes_any_bundle_for_one_she_has_not_seen() -> None:
    room = Withheld(talk=True, people=("alice", "bob"))

    def reconnect(engine: Engine, replies: Replies, bundle: Bundle) -> None:
        client = room.clients["alice"] = Client(room.chain, "alice", room.number)
        keys = b"".join(key.encode() for key in room.chain.announced)
        entries = [entry.raw for entry in room.chain.directory.entries]
        head = room.chain.prepare(room.number).head
        record = AccountRecord(0, room.number, bytes(VAULT_SIZE))
        engine.begin_session(SessionStart(record, client.own_end, head, entries, keys, []))
        engine.close_round(replies)
        engine.chain_view.take_bundle(bundle)

    room.to_alice = reconnect
    room.play(12)
    assert room.withheld == 2


# -- the server's end ------------------------------------------------------------------------------------


def test_a_round_lost_for_everybody_has_no_bundle_and_the_next_announcement_names_none(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    named: list[bytes] = []
    with town(tmp_path, paced=False, round_seconds=0.2, invite_every=1) as place:
        stage = place.service.mix_net._stage
        honest, announcer = stage.collect_invitations, place.service._announcer
        opened = announcer.open_next

        def open_next(*arguments: object) -> object:
            named.append(announcer._bundle_digest)
            return opened(*arguments)  # type: ignore[arg-type]

        def fail(*_: object) -> Bundle:
            raise HopError(1, "does not answer")

        monkeypatch.setattr(announcer, "open_next", open_next)
        alice = place.person("alice")
        wait_until(lambda: bool(place.service.channels()))
        for lost_one in (False, False, True, False, True, True, False):
            monkeypatch.setattr(stage, "collect_invitations", fail if lost_one else honest)
            wait_until(lambda: not named or place.service.mix_net.collected == 1)
            place.service.run_round()
            assert (named[-1] == NO_BUNDLE) is lost_one
        fates = [
            RoundFate.CLEAN,
            RoundFate.LOST,
            RoundFate.CLEAN,
            RoundFate.LOST,
            RoundFate.LOST,
            RoundFate.CLEAN,
        ]
        alice.wait_for(RoundClosed, lambda _: closed(alice) == fates)
        assert not [event for event in alice.log if isinstance(event, Notice) and event.alarm]
        assert len([event for event in alice.log if isinstance(event, ConnectionChanged)]) == 2


def closed(person: Person) -> list[RoundFate]:
    return [event.fate for event in person.log if isinstance(event, RoundClosed)]


def established(room: Room, rounds: int) -> list[tuple[int, str]]:
    """In which rounds who came into sync."""
    found = []
    for _ in range(rounds):
        room.play(1)
        for name in ("alice", "bob"):
            events = room.engines[name].take_events()
            found += [(room.number, name) for event in events if getattr(event, "established", False)]
    return found


@pytest.mark.parametrize("at_once", [1, 7, 8, 1000])
def test_two_agree_in_the_same_round_however_many_invitations_are_tried_at_once(
    at_once: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Fixed: all of a bundle were tried at once, two thousand of a crowd of a thousand."""
    monkeypatch.setattr(opening_bundle, "AT_ONCE", at_once)
    tried: list[int] = []
    opened, step = Invitation.open, Engine.open_invitations

    def counted(*values: Any) -> Any:
        tried[-1] += 1
        return opened(*values)

    def begun(engine: Engine) -> bool:
        tried.append(0)
        return step(engine)

    monkeypatch.setattr(Invitation, "open", counted)
    monkeypatch.setattr(Engine, "open_invitations", begun)
    room = Room(True, people=("alice", "bob"))
    assert established(room, 10) == [(FIRST_ROUND + 7, "alice"), (FIRST_ROUND + 7, "bob")]
    assert 0 < max(tried) <= at_once


def test_a_bundle_that_is_not_opened_before_the_upload_leaves_one_alone(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(opening_bundle, "AT_ONCE", 1)
    monkeypatch.setattr(Engine, "_open_all_invitations", lambda engine: None)
    assert established(Room(True, people=("alice", "bob")), 10) == []
