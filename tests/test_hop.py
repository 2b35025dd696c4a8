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
from iirs.wire.rounds import NO_BUNDLE, Announcement, RoundFlags
from tests.builders import make_chain, make_directory

KEYS = make_chain(2, invite_every=1, noise=Noise(0, 0, forced=True))
CHAIN = KEYS.chain
DIRECTORY = make_directory(CHAIN, "alice", "bob", "carol")
RAW = tuple(entry.raw for entry in DIRECTORY.entries)
NOW = 3000
TALK, INVITE = BatchKind.CONVERSATION, BatchKind.INVITATION


def make_hop(folder: Path | None = None, clock_round: int = NOW) -> LaterHop:
    world = HopEnvironment(os.urandom, clock=lambda: clock_round * CHAIN.round_ms / 1000)
    return LaterHop(CHAIN, 1, KEYS.identities[1], HopState(folder, CHAIN.chain_id), world, None)


def prepare(hop: LaterHop, number: int = NOW, base: int = 0, raws: tuple[bytes, ...] = RAW) -> Announcement:
    """Have a round prepared; return the announcement to be made of it."""
    prepared = hop.prepare(Prepare(number, base, raws), math.inf)
    length = base + len(raws)
    head = KEYS.head(DIRECTORY, length)
    CHAIN.hops[1].verify(prepared.signatures[0], head_content(CHAIN.chain_id, length, head.digest))
    key_ids = (bytes(32), prepared.keys[0].key_id)
    return Announcement(number, RoundFlags.INVITE, CHAIN.round_ms, 1, 1, key_ids, head, length, ())


@contextmanager
def refused_as(refusal: Refusal) -> Iterator[None]:
    with pytest.raises(RefusedError) as caught:
        yield
    assert caught.value.refusal is refusal


def batch(hop: LaterHop, number: int, kind: BatchKind) -> Batch:
    size = CHAIN.geometry.onion_size(1, kind)
    return Batch(hop.context(number), kind, [os.urandom(size) for _ in range(4)])


def run(hop: LaterHop, number: int = NOW) -> bytes:
    """Run both batches of a round; return the digest of its bundle."""
    assert len(hop.exchange(batch(hop, number, TALK))) == 4
    return hop.collect_invitations(batch(hop, number, INVITE)).digest


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
    signed = hop.prepare(Prepare(NOW, 0, tuple(entry.raw for entry in other.entries)), math.inf).signatures[0]
    CHAIN.hops[1].verify(signed, head_content(CHAIN.chain_id, 3, DIRECTORY.digests[3]))
    with refused_as(Refusal.DIRECTORY):
        hop.prepare(Prepare(NOW, 0, RAW[:2]), math.inf)


def test_it_asks_for_the_part_it_does_not_hold() -> None:
    hop = make_hop()
    prepare(hop, raws=RAW[:1])
    with pytest.raises(BehindError) as caught:
        hop.prepare(Prepare(NOW, 2, RAW[2:]), math.inf)
    assert caught.value.length == 1


def test_what_it_signed_and_ran_outlives_a_restart(tmp_path: Path) -> None:
    hop = make_hop(tmp_path)
    announcement = prepare(hop)
    hop.open_round(announcement.encode(), math.inf)
    run(hop)
    again = make_hop(tmp_path)
    with refused_as(Refusal.DIRECTORY):
        again.prepare(Prepare(NOW, 0, RAW[:2]), math.inf)
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
    for number, named in ((NOW, NO_BUNDLE), (NOW + 1, None), (NOW + 2, NO_BUNDLE)):
        shown = replace(prepare(hop, number), bundle_digest=digest if named is None else named)
        hop.open_round(shown.encode(), math.inf)
        digest = run(hop, number)


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
    first = batch(hop, NOW, TALK)
    hop.exchange(first)
    with refused_as(Refusal.STALE):
        hop.exchange(first)
    with refused_as(Refusal.STALE):
        hop.context(NOW + 1)
    prepare(hop, NOW + 1)
    with refused_as(Refusal.STALE):
        hop.context(NOW)


def test_keys_are_forgotten_by_the_clock() -> None:
    hop = make_hop()
    prepare(hop)
    hop._keyring._clock = lambda: math.inf
    hop.erase_keys()
    assert hop._keyring._keys == []


def test_the_first_head_of_all_covers_nobody() -> None:
    hop = make_hop()
    signed = hop.prepare(Prepare(NOW, 0), math.inf).signatures[0]
    CHAIN.hops[1].verify(signed, head_content(CHAIN.chain_id, 0, Directory(CHAIN.chain_id).digests[0]))


@pytest.mark.parametrize("refusal", Refusal)
def test_a_refusal_comes_back_from_its_frame_with_the_hop_it_blames(refusal: Refusal) -> None:
    error = decode_refusal(encode_refusal(RefusedError(2, refusal)).body, range(1, 3))
    assert (error.hop, error.refusal, error.why) == (2, refusal, refusal.why)


@pytest.mark.parametrize("why", ["could not make its noise", Refusal.KEY.why])
def test_an_error_that_is_no_refusal_makes_no_sense_to_the_hop_before_whatever_its_sentence(why: str) -> None:
    error = decode_refusal(encode_refusal(HopError(1, why)).body, range(1, 3))
    assert error.refusal is Refusal.MALFORMED
