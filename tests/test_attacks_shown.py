"""Attacks by an entry that shows one client something else than the rest, or looks at the order it sends in.

Each fails, and succeeds with one defence off. Bundles kept from one person are in ``tests/test_bundles.py``.
"""

from __future__ import annotations

import hashlib
import os
import re
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from iirs import onion
from iirs.client import open_round
from iirs.client.chain_view import ChainView
from iirs.client.open_round import OpenRound
from iirs.errors import ChainError
from iirs.geometry import DROP_ID_SIZE, HASH_SIZE, BatchKind
from iirs.onion import RoundContext, peel
from iirs.suite import X25519, PublicKey
from iirs.wire.rounds import Announcement, Upload, announcement_hash
from tests.adversary import ALPHA, fisher
from tests.attack_chain import Attack
from tests.open_chain import CELL, SETUP
from tests.worlds import Room

# -- one client shown another round -----------------------------------------------------------------------


def partition(attack: Attack, honest: int) -> set[bytes]:
    """Show alice another announcement of a setup; return which of her drops come out of the honest hop.

    A dishonest hop 1 opens her onions as of what she was shown, and passes them on.
    """
    common = attack.open()
    other = replace(attack.announcement, online=99)
    shown = attack.chain.context(other)
    alice = attack.clients[0]
    uploads = attack.uploads()
    uploads["alice"] = alice.upload(shown, attack.sent["alice"], attack.drops["alice"])
    first = attack.chain.chain.geometry.first_index(SETUP)
    alices = [
        alice.entry_end.open_up(shown, SETUP, index, item)
        for index, item in enumerate(uploads["alice"].setups, first)
    ]
    if honest == 2:
        alices = [peel(item, attack.chain.pair(1), X25519, shown, 1, SETUP)[1] for item in alices]
    attack._known.append((shown, attack.chain.pair(2)))
    assert common != shown

    def put(batch: Any) -> Any:
        return replace(batch, items=[*alices, *batch.items[2:]]) if batch.kind is SETUP else batch

    attack.chain.taps[honest - 1].change = put
    attack.close(uploads)
    left = attack.chain.taps[honest].setups[-1].items
    opened = left if honest == 2 else [item[1] for item in map(attack.opened, left) if item is not None]
    return set(opened) & attack.alices_drops


later_hops = pytest.mark.parametrize("honest", [1, 2])


@later_hops
def test_a_client_shown_another_announcement_gets_nothing_through_the_first_honest_hop(honest: int) -> None:
    attack = Attack(talk=False)
    assert partition(attack, honest) == set()
    assert len(attack.sizes) == 1


@later_hops
def test_it_would_if_layers_were_not_bound_to_the_announcement(
    honest: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = onion._layer_info
    monkeypatch.setattr(
        onion,
        "_layer_info",
        lambda chain, number, digest, hop, kind: real(chain, number, bytes(32), hop, kind),
    )
    attack = Attack(talk=False)
    assert partition(attack, honest) == attack.alices_drops


# -- one client shown another history ----------------------------------------------------------------------


@dataclass
class Forked(Room):
    """A room whose entry shows alice rounds of her own, all through the epoch after the warm-up.

    Cells are bound to the number of a round alone. At the next setup she is shown what the others are, or,
    with ``goes_on``, the same as what comes after her own rounds.
    """

    goes_on: bool = False
    forked_from: int = 10**9
    _own: Announcement | None = field(default=None, init=False)
    _before: bytes = field(default=b"", init=False)

    def shown(self, name: str, announcement: Announcement) -> Announcement:
        if name != "alice" or announcement.round_number < self.forked_from:
            return announcement
        own = replace(announcement, previous=self._before or announcement.previous)
        if not announcement.is_setup:
            own = replace(own, online=announcement.online + 1)
            self._before = announcement_hash(own.encode())
        elif not self.goes_on:
            own = announcement
        self.meddle = self._as_of(self.chain.context(own), self.chain.context(announcement))
        return own

    def _as_of(self, hers: RoundContext, theirs: RoundContext) -> Callable[[str, Upload], Upload]:
        """Seal what alice uploads as if she had been shown what the others were: the entry can."""
        client, geometry = self.clients["alice"], self.chain.chain.geometry

        def seal(kind: BatchKind, items: tuple[bytes, ...]) -> tuple[bytes, ...]:
            opened = enumerate(items, geometry.first_index(kind))
            return tuple(
                client.own_end.seal_up(theirs, kind, index, client.entry_end.open_up(hers, kind, index, item))
                for index, item in opened
            )

        def meddle(name: str, upload: Upload) -> Upload:
            if name != "alice":
                return upload
            return replace(upload, cells=seal(CELL, upload.cells), setups=seal(SETUP, upload.setups))

        return meddle


def fork(*, goes_on: bool) -> Counter[int]:
    """Show alice, who talks to bob, an epoch of her own; return how often drops are accessed at the next."""
    room = Forked(talk=True, people=("alice", "bob"), goes_on=goes_on)
    room.play(12)
    room.forked_from = room.number + 1
    *_, last = room.play(room.epoch_rounds + 1)
    assert last.is_setup
    accesses = Counter(Counter(last.setup.batches[2]).values())
    for count in last.setup.noise.values():
        accesses.subtract({1: count.singles, 2: count.pairs})
    return +accesses


def forget_history(monkeypatch: pytest.MonkeyPatch) -> None:
    """Leave what came before out of an announcement's hash."""

    def of_body(encoded: bytes) -> bytes:
        return hashlib.sha256(encoded[HASH_SIZE:]).digest()

    for module in ("iirs.client.engine", "iirs.server.hops.later_hop", "tests.open_chain", __name__):
        monkeypatch.setattr(f"{module}.announcement_hash", of_body)


def test_a_client_shown_another_history_leaves_when_it_is_shown_the_others_again() -> None:
    with pytest.raises(ChainError, match="other rounds"):
        fork(goes_on=False)


def test_nor_do_her_circuits_come_through_an_honest_hop_if_hers_goes_on() -> None:
    assert fork(goes_on=True) == {1: 2}  # bob's alone: as if her setup had been kept back


def test_without_the_chain_of_hashes_nobody_would_ever_know(monkeypatch: pytest.MonkeyPatch) -> None:
    forget_history(monkeypatch)
    assert fork(goes_on=True) == {2: 2}


def test_without_the_clients_check_she_would_go_on_with_the_others_too(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    real = ChainView.take_place

    def lax(view: ChainView, announcement: Announcement, digest: bytes) -> None:
        view._history = announcement.previous
        real(view, announcement, digest)

    monkeypatch.setattr(ChainView, "take_place", lax)
    assert fork(goes_on=False) == {2: 2}


def test_a_hop_that_has_accepted_another_round_before_has_no_circuits_for_the_next() -> None:
    attack = Attack()
    attack.run()
    number = attack.context.round_number + 1
    assert not attack.chain.prepare(number).is_setup
    attack.chain.place = replace(attack.chain.place, previous=os.urandom(HASH_SIZE))
    assert attack.chain.prepare(number).is_setup


# -- one client shown other keys --------------------------------------------------------------------------


def drops_in_alices_upload(*, talk: bool) -> set[bytes]:
    """Announce the entry's own key for every hop, to alice only; return the drops in what she uploads."""
    room = Room(talk)
    room.play(12)
    pair = room.chain.keyring.find(room.chain.announced[0].key_id)[1]
    honest = room.chain.prepare(room.number)
    assert honest.is_setup
    announcement = replace(honest, key_ids=(honest.key_ids[0],) * len(honest.key_ids))
    announcement = replace(announcement, bundle_digest=room._bundle_digest)
    context = room.chain.context(announcement)
    room.engines["alice"].open_round(announcement.encode())
    upload = room.decode(room.engines["alice"].build_upload())
    drops = set()
    for index, item in enumerate(upload.setups, room.chain.chain.geometry.first_index(SETUP)):
        opened = room.clients["alice"].entry_end.open_up(context, SETUP, index, item)
        for hop in (1, 2):
            opened = peel(opened, pair, X25519, context, hop, SETUP)[1]
        drops.add(opened)
    return drops


def test_an_entry_that_announces_its_own_key_for_every_hop_is_left() -> None:
    with pytest.raises(ChainError, match="did not sign"):
        drops_in_alices_upload(talk=True)


def test_it_would_open_all_layers_if_a_key_were_good_in_any_place(monkeypatch: pytest.MonkeyPatch) -> None:
    def any_key(self: ChainView, announcement: Announcement) -> list[PublicKey]:
        held = {key_id: (hop, key) for (hop, key_id), key in self._epoch_keys.items()}
        shown = [held[key_id] for key_id in announcement.key_ids[1:]]
        return [key.verified(self._chain, hop) for hop, key in shown]

    monkeypatch.setattr(ChainView, "keys_for", any_key)
    assert len(drops_in_alices_upload(talk=True)) == 2
    assert len(drops_in_alices_upload(talk=False)) == 1


# -- the order of what one client sends --------------------------------------------------------------------

DRAWS = 60


def in_order(count: int, random_bytes: object) -> list[int]:
    return list(range(count))


def a_round(*, is_setup: bool = True) -> OpenRound:
    announcement: Any = SimpleNamespace(is_setup=is_setup)
    return OpenRound(RoundContext(bytes(32), 1, bytes(32)), announcement, [], None)


@dataclass
class Talk:
    """A conversation of alice's, as far as a slot knows it."""

    peer: str

    def prepare(self, announcement: object, has_circuits: object) -> object:
        return SimpleNamespace(keys=SimpleNamespace(drop_ids=[os.urandom(DROP_ID_SIZE) for _ in range(2)]))


def slot_of_mallory(*, others: bool) -> int:
    """Return in which of two slots alice talks to mallory, who is the entry's.

    That is known: the entry makes up the cells of one slot, and asks mallory whether he still hears her.
    """
    active: Any = [Talk("bob")] * others + [Talk("mallory")]
    current = a_round()
    current.fill(active, 2, os.urandom)
    talks = [used[0] if isinstance(used, tuple) else None for used in current.slots]
    return [talk is not None and talk.peer == "mallory" for talk in talks].index(True)


def place_of_mallorys_invitation(*, others: bool) -> int:
    """Return which of alice's two invitations is mallory's: that the entry drops when he does not get his."""
    invitations = [b"bob's"] * others + [b"mallory's"] + [b"cover"] * (not others)
    current = a_round()
    geometry: Any = SimpleNamespace(suite=X25519)
    return current.wrap_invitations(invitations, geometry, os.urandom).index(b"mallory's")


def tells(oracle: Callable[..., int]) -> bool:
    """Say whether the place tells that alice talks to, or asks, somebody else too."""
    seen = [sum(oracle(others=others) for _ in range(DRAWS)) for others in (True, False)]
    return fisher(seen[0], seen[1], DRAWS) < ALPHA


oracles = pytest.mark.parametrize("oracle", [slot_of_mallory, place_of_mallorys_invitation])


@oracles
def test_where_a_peer_stands_in_an_upload_does_not_tell_how_many_others_there_are(
    oracle: Callable[..., int],
) -> None:
    assert not tells(oracle)


@oracles
def test_with_the_real_ones_first_it_does(
    oracle: Callable[..., int], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(open_round, "random_permutation", in_order)
    assert tells(oracle)


# -- the threat model ---------------------------------------------------------------------------------------


def test_the_threat_model_names_tests_that_are_here() -> None:
    tests = Path(__file__).parent
    page = (tests.parent / "docs" / "threat-model.md").read_text(encoding="utf-8")
    written = "".join(file.read_text(encoding="utf-8") for file in tests.glob("test_*.py"))
    named = re.findall(r"`(test_\w+)`", page)
    assert len(named) >= 19
    assert [name for name in named if f"def {name}(" not in written] == []
