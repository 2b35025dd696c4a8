"""A later hop on its own: what it signs, which announcements it accepts, and in which order it works."""

from __future__ import annotations

import math
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from iirs.chain import CLOCK_TOLERANCE_SECONDS
from iirs.directory import Directory, head_content
from iirs.epoch import GRACE_ROUNDS
from iirs.errors import HopError
from iirs.geometry import BatchKind
from iirs.noise import Noise
from iirs.server.hops.hop_state import HopState
from iirs.server.hops.later_hop import HopEnvironment, LaterHop
from iirs.server.hops.link import (
    BehindError,
    Prepare,
    Refusal,
    RefusedError,
    decode_refusal,
    encode_refusal,
)
from iirs.server.mix_stage import Batch
from iirs.wire.rounds import (
    NO_BUNDLE,
    NOTHING_BEFORE,
    Announcement,
    RoundFlags,
    announcement_hash,
)
from tests.builders import make_chain, make_directory

KEYS = make_chain(2, invite_every=1, noise=Noise(0, 0, forced=True))
CHAIN = KEYS.chain
DIRECTORY = make_directory(CHAIN, "alice", "bob", "carol")
RAW = tuple(entry.raw for entry in DIRECTORY.entries)
NOW = 3000
ROUND = CHAIN.round_ms / 1000
EPOCH = CHAIN.epoch_rounds
CELL, INVITE, SETUP = BatchKind


class Clocks:
    """The wall clock and the monotonic one of a hop's machine."""

    def __init__(self, clock_round: float = NOW) -> None:
        self.wall = clock_round * ROUND
        self.uptime = 1000.0

    def wait(self, rounds: float) -> None:
        self.wall += rounds * ROUND
        self.uptime += rounds * ROUND


def make_hop(folder: Path | None = None, clocks: Clocks | None = None) -> LaterHop:
    clocks = clocks or Clocks()
    world = HopEnvironment(os.urandom, lambda: clocks.wall, lambda: clocks.uptime)
    return LaterHop(CHAIN, 1, KEYS.identities[1], HopState(folder, CHAIN.chain_id), world, None)


def ask(
    number: int = NOW,
    base: int = 0,
    raws: tuple[bytes, ...] = RAW,
    *,
    setup_round: int | None = None,
    previous: bytes = NOTHING_BEFORE,
) -> Prepare:
    """Return what a hop is asked before a round: of a setup, unless the setup round is another."""
    return Prepare(number, number if setup_round is None else setup_round, previous, base, raws)


def prepare(
    hop: LaterHop,
    number: int = NOW,
    base: int = 0,
    raws: tuple[bytes, ...] = RAW,
    *,
    after: Announcement | None = None,
    setup_round: int | None = None,
) -> Announcement:
    """Have a round prepared, a setup if no other is named; return the announcement to be made of it."""
    previous = NOTHING_BEFORE if after is None else announcement_hash(after.encode())
    request = ask(number, base, raws, setup_round=setup_round, previous=previous)
    prepared = hop.prepare(request, math.inf)
    length = base + len(raws)
    head = KEYS.head(DIRECTORY, length)
    CHAIN.hops[1].verify(prepared.signatures[0], head_content(CHAIN.chain_id, length, head.digest))
    key_ids = (bytes(32), prepared.keys[0].key_id)
    flags, place = RoundFlags.INVITE, (number, request.setup_round)
    return Announcement(previous, *place, flags, CHAIN.round_ms, 1, 1, key_ids, head, length, ())


@contextmanager
def refused_as(refusal: Refusal) -> Iterator[None]:
    with pytest.raises(RefusedError) as caught:
        yield
    assert caught.value.refusal is refusal


def batch(hop: LaterHop, number: int, kind: BatchKind) -> Batch:
    size = CHAIN.geometry.item_size(1, kind)
    return Batch(hop.context(number), kind, [os.urandom(size) for _ in range(4)])


def run(hop: LaterHop, number: int = NOW, *, setup: bool = True) -> bytes:
    """Run all batches of a round; return the digest of its bundle."""
    if setup:
        hop.set_up(batch(hop, number, SETUP))
    assert len(hop.exchange(batch(hop, number, CELL))) == 4
    return hop.collect_invitations(batch(hop, number, INVITE)).digest


def begin(hop: LaterHop, number: int = NOW, after: Announcement | None = None) -> Announcement:
    """Run the first round of an epoch; return its announcement."""
    announcement = prepare(hop, number, after=after)
    hop.open_round(announcement.encode(), math.inf)
    run(hop, number)
    return announcement


def go_on(hop: LaterHop, number: int, after: Announcement, setup_round: int = NOW) -> Announcement:
    """Run another round of an epoch; return its announcement."""
    announcement = prepare(hop, number, after=after, setup_round=setup_round)
    hop.open_round(announcement.encode(), math.inf)
    run(hop, number, setup=False)
    return announcement


# -- what it signs ------------------------------------------------------------------------------------------


def test_it_signs_what_continues_the_directory_it_signed_before() -> None:
    hop = make_hop()
    prepare(hop, raws=RAW[:1])
    prepare(hop, base=1, raws=RAW[1:2])
    prepare(hop, base=1, raws=RAW[1:])
    prepare(hop, base=3, raws=())


def test_it_signs_no_second_head_of_a_length_it_signed() -> None:
    hop = make_hop()
    prepare(hop)
    other = make_directory(CHAIN, "alice", "carol", "bob")
    signed = hop.prepare(ask(raws=tuple(entry.raw for entry in other.entries)), math.inf).signatures[0]
    CHAIN.hops[1].verify(signed, head_content(CHAIN.chain_id, 3, DIRECTORY.digests[3]))
    with refused_as(Refusal.DIRECTORY):
        hop.prepare(ask(raws=RAW[:2]), math.inf)


def test_it_asks_for_the_part_it_does_not_hold() -> None:
    hop = make_hop()
    prepare(hop, raws=RAW[:1])
    with pytest.raises(BehindError) as caught:
        hop.prepare(ask(base=2, raws=RAW[2:]), math.inf)
    assert caught.value.length == 1


def test_what_it_signed_and_ran_outlives_a_restart(tmp_path: Path) -> None:
    hop = make_hop(tmp_path)
    announcement = prepare(hop)
    hop.open_round(announcement.encode(), math.inf)
    run(hop)
    again = make_hop(tmp_path)
    with refused_as(Refusal.DIRECTORY):
        again.prepare(ask(raws=RAW[:2]), math.inf)
    repeated = prepare(again)
    with refused_as(Refusal.STALE):
        again.open_round(repeated.encode(), math.inf)
    forgetful = make_hop()
    forgetful.open_round(prepare(forgetful).encode(), math.inf)  # one that kept nothing would


@pytest.mark.parametrize("side", [-1, 1], ids=["behind", "ahead of"])
def test_it_makes_no_key_for_a_round_far_from_its_clock(side: int) -> None:
    hour = side * int(CLOCK_TOLERANCE_SECONDS * 1000 // CHAIN.round_ms)
    prepare(make_hop(), NOW + hour)
    with refused_as(Refusal.CLOCK):
        prepare(make_hop(), NOW + hour + side)


# -- which announcements it accepts -------------------------------------------------------------------------


def test_one_announcement_of_the_round_that_was_prepared_is_accepted() -> None:
    hop = make_hop()
    announcement = prepare(hop)
    hop.open_round(announcement.encode(), math.inf)
    for other in (announcement, replace(announcement, online=2)):
        with refused_as(Refusal.STALE):
            hop.open_round(other.encode(), math.inf)


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"round_number": NOW + 1}, Refusal.STALE),
        ({"round_number": NOW - 1}, Refusal.STALE),
        ({"key_ids": (bytes(32), bytes(32))}, Refusal.KEY),
        ({"head": KEYS.head(DIRECTORY, 0)}, Refusal.MALFORMED),
        ({"head": KEYS.head(DIRECTORY, 2)}, Refusal.MALFORMED),
        ({"head": replace(KEYS.head(DIRECTORY), signatures=bytes(128))}, Refusal.MALFORMED),
        ({"head": KEYS.head(make_directory(CHAIN, "alice", "carol", "bob"))}, Refusal.MALFORMED),
        ({"collect_ms": 0}, Refusal.MALFORMED),
        ({"collect_ms": CHAIN.round_ms // 2 - 1}, Refusal.MALFORMED),
        ({"collect_ms": CHAIN.round_ms * 3 // 2 + 1}, Refusal.MALFORMED),
        ({"bundle_digest": bytes([1]) * 32}, Refusal.MALFORMED),
        ({"setup_round": NOW - 1}, Refusal.MALFORMED),
        ({"previous": bytes([1]) * 32}, Refusal.MALFORMED),
    ],
    ids=lambda value: next(iter(value)) if isinstance(value, dict) else None,
)
def test_an_announcement_that_differs_in_one_thing_is_refused_and_no_batch_runs(
    changes: dict[str, Any], reason: Refusal
) -> None:
    """Fixed: a head that was signed once, however old, let the entry show one person made-up people."""
    hop = make_hop()
    announcement = prepare(hop)
    with refused_as(reason):
        hop.open_round(replace(announcement, **changes).encode(), math.inf)
    with refused_as(Refusal.STALE):
        hop.context(NOW)
    hop.open_round(announcement.encode(), math.inf)
    run(hop)


@pytest.mark.parametrize("collect_ms", [CHAIN.round_ms // 2, CHAIN.round_ms * 3 // 2])
def test_half_a_round_to_one_and_a_half_is_time_enough_for_uploads(collect_ms: int) -> None:
    hop = make_hop()
    hop.open_round(replace(prepare(hop), collect_ms=collect_ms).encode(), math.inf)


def test_the_next_announcement_names_the_bundle_that_it_passed_on_or_none() -> None:
    hop = make_hop()
    hop.open_round(prepare(hop).encode(), math.inf)
    digest = run(hop)
    with refused_as(Refusal.MALFORMED):
        hop.open_round(replace(prepare(hop, NOW + 1), bundle_digest=bytes([1]) * 32).encode(), math.inf)
    hop = make_hop()
    before = None
    for number, named in ((NOW, NO_BUNDLE), (NOW + 1, digest), (NOW + 2, NO_BUNDLE)):
        shown = prepare(hop, number, after=before, setup_round=NOW)
        before = replace(shown, bundle_digest=digest if named is not NO_BUNDLE else NO_BUNDLE)
        hop.open_round(before.encode(), math.inf)
        digest = run(hop, number, setup=number == NOW)


# -- in which order -----------------------------------------------------------------------------------------


def test_nothing_runs_before_it_is_announced_and_nothing_twice() -> None:
    hop = make_hop()
    with refused_as(Refusal.STALE):
        hop.context(NOW)
    with refused_as(Refusal.STALE):
        hop.open_round(bytes(CHAIN.geometry.announcement_size), math.inf)
    announcement = prepare(hop)
    with refused_as(Refusal.STALE):
        hop.context(NOW)
    hop.open_round(announcement.encode(), math.inf)
    for kind, takes in ((SETUP, hop.set_up), (CELL, hop.exchange), (INVITE, hop.collect_invitations)):
        first = batch(hop, NOW, kind)
        takes(first)
    for takes in (hop.exchange, hop.collect_invitations):
        with refused_as(Refusal.STALE):
            takes(batch(hop, NOW, CELL if takes == hop.exchange else INVITE))
    with refused_as(Refusal.STALE):
        hop.context(NOW + 1)
    prepare(hop, NOW + 1)
    with refused_as(Refusal.STALE):
        hop.context(NOW)


def assert_forgotten(hop: LaterHop) -> None:
    assert hop._mix.setup_round is None
    assert not hop._mix._layers
    assert not hop._drops._partners


# -- epochs -------------------------------------------------------------------------------------------------


def test_an_epoch_goes_on_round_by_round_and_may_skip_some() -> None:
    hop = make_hop()
    last = begin(hop)
    for number in (NOW + 1, NOW + 2, NOW + 7, NOW + EPOCH - 1):
        last = go_on(hop, number, last)
    with refused_as(Refusal.CIRCUITS):
        prepare(hop, NOW + EPOCH, after=last, setup_round=NOW)
    go_on(hop, NOW + EPOCH + 1, begin(hop, NOW + EPOCH, last), NOW + EPOCH)


def test_a_round_of_an_epoch_that_there_are_no_circuits_for_is_not_prepared(tmp_path: Path) -> None:
    hop = make_hop()
    with refused_as(Refusal.CIRCUITS):
        prepare(hop, NOW + 1, setup_round=NOW)
    last = begin(hop)
    for number, setup_round in ((NOW + 1, NOW - 1), (NOW + 2, NOW + 1), (NOW + 1, NOW + 2)):
        with refused_as(Refusal.CIRCUITS):
            prepare(hop, number, after=last, setup_round=setup_round)
    with refused_as(Refusal.CIRCUITS):
        prepare(hop, NOW + 1, after=replace(last, online=2), setup_round=NOW)
    go_on(hop, NOW + 1, last)


def test_a_hop_that_was_restarted_has_no_circuits_and_takes_a_setup(tmp_path: Path) -> None:
    last = begin(make_hop(tmp_path))
    again = make_hop(tmp_path)
    with refused_as(Refusal.CIRCUITS):
        prepare(again, NOW + 1, after=last, setup_round=NOW)
    begin(again, NOW + 1, last)


def test_an_announcement_that_it_did_not_see_ends_the_epoch() -> None:
    """What it has accepted is to be all that clients were shown, however the entry came by another."""
    hop = make_hop()
    unseen = prepare(hop, NOW + 1, after=begin(hop), setup_round=NOW)
    with refused_as(Refusal.CIRCUITS):
        prepare(hop, NOW + 2, after=unseen, setup_round=NOW)
    begin(hop, NOW + 2, unseen)


def test_a_setup_that_is_prepared_and_never_announced_leaves_the_epoch_as_it_was() -> None:
    hop = make_hop()
    last = begin(hop)
    before = prepare(hop, NOW + 1, after=last, setup_round=NOW)
    for number in (NOW + 1, NOW + 2):
        assert prepare(hop, number, after=last).key_ids[1] != before.key_ids[1]
    assert go_on(hop, NOW + 1, last).key_ids == before.key_ids


def test_nothing_of_the_epoch_before_is_left_once_a_setup_is_announced() -> None:
    hop = make_hop()
    last = begin(hop)
    old_key = last.key_ids[1]
    announcement = prepare(hop, NOW + 1, after=last)
    assert hop._keyring.holds(old_key)
    hop.open_round(announcement.encode(), math.inf)
    assert not hop._keyring.holds(old_key)
    assert_forgotten(hop)
    assert hop._mix._stage._epoch is None
    with refused_as(Refusal.STALE):
        hop.exchange(batch(hop, NOW + 1, CELL))
    with refused_as(Refusal.CIRCUITS):
        prepare(hop, NOW + 2, after=announcement, setup_round=NOW)
    with refused_as(Refusal.CIRCUITS):
        prepare(hop, NOW + 2, after=announcement, setup_round=NOW + 1)


def test_circuits_and_pairs_are_forgotten_by_the_clock_when_nobody_asks_for_more() -> None:
    """Fixed: who was joined with whom at the last hop was not."""
    hop = make_hop()
    last = begin(hop)
    hop.erase_keys()
    assert hop._mix.setup_round == NOW
    hop._keyring._clock = lambda: math.inf
    hop.erase_keys()
    assert_forgotten(hop)
    with refused_as(Refusal.CIRCUITS):
        prepare(hop, NOW + 1, after=last, setup_round=NOW)


def test_an_epoch_whose_rounds_stood_still_for_long_keeps_its_key() -> None:
    """Fixed: it showed another, and opened invitations with the first: all were lost until the next setup."""
    hop = make_hop()
    last = begin(hop)
    lifetime = 2 * (EPOCH + GRACE_ROUNDS) * ROUND
    now = hop._keyring._clock()
    hop._keyring._clock = lambda: now + 0.9 * lifetime
    shown = go_on(hop, NOW + 1, last)
    assert shown.key_ids == last.key_ids
    key = hop._key(NOW + 1)
    assert hop._keyring.find(shown.key_ids[1])[1] is key


# -- the ration ---------------------------------------------------------------------------------------------


def use_up(hop: LaterHop) -> Announcement:
    last = None
    for number in range(NOW - 3, NOW):
        last = begin(hop, number, last)
    assert last is not None
    return last


def test_a_fourth_setup_is_not_prepared_before_its_time_and_the_epoch_goes_on() -> None:
    clocks = Clocks()
    hop = make_hop(clocks=clocks)
    last = use_up(hop)
    with refused_as(Refusal.RATION):
        prepare(hop, NOW, after=last)
    last = go_on(hop, NOW, last, NOW - 1)
    clocks.wait(15 / 16 * EPOCH - 0.6)
    with refused_as(Refusal.RATION):
        prepare(hop, NOW + EPOCH - 2, after=last)
    clocks.wait(0.6)
    begin(hop, NOW + EPOCH - 2, last)


def test_a_setup_that_is_prepared_is_due_when_its_batch_can_come_at_the_earliest() -> None:
    """Fixed: it was prepared a whole round ahead, and its batch, of a slow round before, refused."""
    clocks = Clocks()
    hop = make_hop(clocks=clocks)
    last = use_up(hop)
    wait = 15 / 16 * EPOCH
    clocks.wait(wait - 0.9)
    with refused_as(Refusal.RATION):
        prepare(hop, NOW + EPOCH - 2, after=last)
    clocks.wait(0.41)
    hop.open_round(prepare(hop, NOW + EPOCH - 2, after=last).encode(), math.inf)
    clocks.wait(0.5)
    run(hop, NOW + EPOCH - 2)


def test_a_batch_before_its_time_is_refused_for_that_reason_and_opens_nothing(tmp_path: Path) -> None:
    """Fixed: it was told as a round that is over."""
    clocks = Clocks()
    hop = make_hop(tmp_path, clocks)
    last = use_up(hop)
    clocks.wait(15 / 16 * EPOCH - 0.4)
    hop.open_round(prepare(hop, NOW + EPOCH - 2, after=last).encode(), math.inf)
    with refused_as(Refusal.RATION):
        hop.set_up(batch(hop, NOW + EPOCH - 2, SETUP))
    assert hop._mix.setup_round is None
    assert HopState(tmp_path, CHAIN.chain_id).rounds[SETUP] == NOW - 1


def test_setups_in_a_crash_loop_are_rationed_by_what_is_on_disk(tmp_path: Path) -> None:
    clocks = Clocks()
    last = use_up(make_hop(tmp_path, clocks))
    for _ in range(5):
        clocks.wait(0.1)
        with refused_as(Refusal.RATION):
            prepare(make_hop(tmp_path, clocks), NOW, after=last)
    clocks.wait(15 / 16 * EPOCH)
    begin(make_hop(tmp_path, clocks), NOW + EPOCH, last)
    forgetful = make_hop(None, clocks)  # one that kept nothing would take three more at once
    use_up(forgetful)


# -- by the clock -------------------------------------------------------------------------------------------


def test_keys_are_forgotten_by_the_clock() -> None:
    hop = make_hop()
    prepare(hop)
    hop._keyring._clock = lambda: math.inf
    hop.erase_keys()
    assert hop._keyring._keys == []


def test_the_first_head_of_all_covers_nobody() -> None:
    hop = make_hop()
    signed = hop.prepare(ask(raws=()), math.inf).signatures[0]
    CHAIN.hops[1].verify(signed, head_content(CHAIN.chain_id, 0, Directory(CHAIN.chain_id).digests[0]))


@pytest.mark.parametrize("refusal", Refusal)
def test_a_refusal_comes_back_from_its_frame_with_the_hop_it_blames(refusal: Refusal) -> None:
    error = decode_refusal(encode_refusal(RefusedError(2, refusal)).body, range(1, 3))
    assert (error.hop, error.refusal, error.why) == (2, refusal, refusal.why)


@pytest.mark.parametrize("why", ["could not make its noise", Refusal.KEY.why])
def test_an_error_that_is_no_refusal_makes_no_sense_to_the_hop_before_whatever_its_sentence(why: str) -> None:
    error = decode_refusal(encode_refusal(HopError(1, why)).body, range(1, 3))
    assert error.refusal is Refusal.MALFORMED
