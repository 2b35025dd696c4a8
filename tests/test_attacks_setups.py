"""Attacks on setups by hops that do not do what they should: each fails, and succeeds with one defence off.

Hop 1 of three is honest; the entry and the last hop are one adversary. What stops each attack is listed in
``docs/threat-model.md``.
"""

from __future__ import annotations

from collections import Counter
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from iirs import onion
from iirs.errors import HopError, OnionError
from iirs.onion import peel
from iirs.server.hops import mix_hop
from iirs.server.hops.link import RefusedError
from iirs.server.hops.preparer import Place
from iirs.server.mix_stage import Batch, SeenOnions
from iirs.server.ration import Ration, setup_seconds
from iirs.suite import X25519, KeyPair
from iirs.wire.rounds import NOTHING_BEFORE
from tests.attack_chain import EPOCH, NAMES, Attack, accept_setup_again
from tests.open_chain import FIRST_ROUND, SETUP, OpenChain
from tests.worlds import Room

# -- tagging ----------------------------------------------------------------------------------------------

MARK = 5
"""How far from the end of the onion inside the byte is that is flipped."""


def flipped(item: bytes, from_end: int) -> bytes:
    return item[:-from_end] + bytes([item[-from_end] ^ 1]) + item[len(item) - from_end + 1 :]


def change_setup(attack: Attack, put: dict[str, list[bytes]]) -> None:
    """Have the entry put other onions in the places of some people, in the next setup."""

    def change(batch: Batch) -> Batch:
        if batch.kind is not SETUP:
            return batch
        items = list(batch.items)
        for name, onions in put.items():
            for place, item in zip(attack.places(name), onions, strict=True):
                items[place] = item
        return replace(batch, items=items)

    attack.chain.taps[0].change = change


def tag_alice(attack: Attack) -> set[bytes]:
    """Mark alice's onions before hop 1; return the drops of what opens behind it with the mark taken off."""

    def mark(batch: Batch) -> Batch:
        items = list(batch.items)
        for place in attack.places("alice") if batch.kind is SETUP else ():
            items[place] = flipped(items[place], 16 + MARK)  # 16: the layer's own tag
        return replace(batch, items=items)

    attack.chain.taps[0].change = mark
    attack.run()
    marked = [item for item in attack.chain.taps[1].setups[-1].items if attack.opened(item) is None]
    unmarked = [attack.opened(flipped(item, MARK)) for item in marked]
    return {item[1] for item in unmarked if item is not None}


def test_an_onion_marked_before_an_honest_hop_does_not_come_out_of_it() -> None:
    """Her circuits end there, for the epoch; what she gets back is as long as what the others get."""
    attack = Attack()
    assert tag_alice(attack) == set()
    assert all(attack.drops_seen()[drop] == 1 for drop in attack.alices_drops)  # bob's
    for number in (FIRST_ROUND, FIRST_ROUND + 1):
        if number > FIRST_ROUND:
            attack.run(number)
        everything = [cell for sent in attack.sent.values() for cell in sent]
        assert not set(attack.back("alice")) & {None, *everything}
        assert attack.back("bob") == attack.sent["bob"]  # alone in both
        assert attack.back("carol") == attack.sent["carol"][::-1]
        assert len(attack.sizes) == 1


def test_it_comes_out_marked_if_the_layer_is_a_cipher_without_a_tag(monkeypatch: pytest.MonkeyPatch) -> None:
    use_malleable_layer(monkeypatch, hop=1)
    attack = Attack()
    assert tag_alice(attack) == attack.alices_drops


def use_malleable_layer(monkeypatch: pytest.MonkeyPatch, hop: int) -> None:
    """Seal the layer of one hop with a key exchange and a stream cipher; zeros stand in the tag's place."""
    real_seal, real_open = type(X25519).seal, type(X25519).open

    def stream(secret: bytes, info: bytes, data: bytes) -> bytes:
        key = HKDF(SHA256(), 32, None, info).derive(secret)
        return Cipher(algorithms.ChaCha20(key, bytes(16)), mode=None).encryptor().update(data)

    def seal(self: object, public: X25519PublicKey, plaintext: bytes, info: bytes) -> bytes:
        if info[44] != hop:
            return real_seal(X25519, public, plaintext, info)
        private = X25519PrivateKey.generate()
        enc = private.public_key().public_bytes_raw()
        return enc + stream(private.exchange(public), info, plaintext) + bytes(16)

    def open_(self: object, key: KeyPair, sealed: bytes, info: bytes) -> bytes:
        if info[44] != hop:
            return real_open(X25519, key, sealed, info)
        assert isinstance(key.private, X25519PrivateKey)
        secret = key.private.exchange(X25519PublicKey.from_public_bytes(sealed[:32]))
        return stream(secret, info, sealed[32:-16])

    monkeypatch.setattr(type(X25519), "seal", seal)
    monkeypatch.setattr(type(X25519), "open", open_)


# -- replay -----------------------------------------------------------------------------------------------


def set_up_twice(attack: Attack) -> set[bytes]:
    """Set alice's circuits up again in the same round, alone; return the drops that were seen both times."""
    before = set(attack.drops_seen())
    accept_setup_again(attack, 2)
    attack.chain.hops[1].set_up(Batch(attack.context, SETUP, attack.came("alice")))
    return before & set(attack.drops_seen())


def test_a_hop_runs_no_second_batch_in_a_round() -> None:
    """Two sets of places for one setup would show whose is whose."""
    attack = Attack()
    attack.run()
    with pytest.raises(HopError, match="round that is over"):
        set_up_twice(attack)
    assert len(attack.chain.taps[1].setups) == 1


def test_not_even_if_it_forgets_the_round_for_its_noise_is_made_once() -> None:
    attack = Attack()
    attack.run()
    accept_setup_again(attack, 1)
    with pytest.raises(HopError, match="made no noise"):
        set_up_twice(attack)


def test_if_it_does_what_both_batches_show_is_alices() -> None:
    attack = Attack()
    attack.run()
    accept_setup_again(attack, 1)
    attack.chain.hops[1]._noise.begin(attack.context, attack.chain.public[1:])
    assert set_up_twice(attack) == attack.alices_drops


def replay_in_a_later_epoch(attack: Attack) -> set[bytes]:
    """Send alice's onions again at the next setup, in place of carol's; return the drops seen both times."""
    attack.run()
    before, drops = set(attack.drops_seen()), attack.alices_drops
    change_setup(attack, {"carol": attack.came("alice")})
    attack.run(FIRST_ROUND + EPOCH)
    seen = before & set(attack.drops_seen())
    assert seen <= drops
    assert len(attack.sizes) == 1
    return seen


def bind_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    """Bind layers to chain, hop and kind only."""
    real = onion._layer_info
    monkeypatch.setattr(
        onion, "_layer_info", lambda chain, number, digest, hop, kind: real(chain, 0, bytes(32), hop, kind)
    )


def keep_every_key(monkeypatch: pytest.MonkeyPatch) -> None:
    """Have hops open onions with any key that they have ever used."""
    used: list[KeyPair] = []

    def peel_with_any(item: bytes, key: KeyPair, *rest: object) -> tuple[bytes, bytes]:
        used[:] = [key, *(other for other in used if other is not key)]
        for other in used:
            try:
                return peel(item, other, *rest)  # type: ignore[arg-type]
            except OnionError:
                continue
        raise OnionError("no key fits")

    monkeypatch.setattr(mix_hop, "peel", peel_with_any)


def test_an_onion_of_an_earlier_round_does_not_open_in_a_later_one(monkeypatch: pytest.MonkeyPatch) -> None:
    """For two reasons: its layers say which, and the key is gone. Each is enough."""
    assert replay_in_a_later_epoch(Attack()) == set()
    with monkeypatch.context() as patch:
        keep_every_key(patch)
        assert replay_in_a_later_epoch(Attack()) == set()
    bind_nothing(monkeypatch)
    assert replay_in_a_later_epoch(Attack()) == set()


def test_it_opens_again_if_its_layers_are_bound_to_no_round(monkeypatch: pytest.MonkeyPatch) -> None:
    """And the key is kept."""
    keep_every_key(monkeypatch)
    bind_nothing(monkeypatch)
    assert len(replay_in_a_later_epoch(Attack())) == 2


def restarted(attack: Attack) -> OpenChain:
    """Run a setup, start hop 1 anew, and have the chain prepared for the same round once more."""
    attack.run()
    attack.chain.hops[2]._state.announced = -1  # the adversary's own: it does what it likes
    accept_setup_again(attack, 2)
    attack.chain.start_hop(1)
    attack.chain.place = Place(-1, -1, NOTHING_BEFORE)
    attack.chain.prepare(FIRST_ROUND)
    return attack.chain


def test_a_hop_that_was_restarted_does_not_open_a_round_again(tmp_path: Path) -> None:
    attack = Attack(folder=tmp_path)
    chain = restarted(attack)
    with pytest.raises(HopError, match="round that is over"):
        chain.open(chain.prepare(FIRST_ROUND))
    with pytest.raises(HopError, match="round that is over"):
        chain.hops[1].set_up(Batch(attack.context, SETUP, attack.came("alice")))


def test_nor_does_one_that_lost_its_state_open_the_rounds_onions_for_its_key_is_gone() -> None:
    attack = Attack()
    chain = restarted(attack)
    attack.open()
    chain.hops[1].set_up(Batch(attack.context, SETUP, attack.came("alice")))
    assert attack.alices_drops.isdisjoint(attack.drops_seen())


def test_one_that_lost_its_state_and_kept_its_key_would() -> None:
    attack = Attack()
    attack.run()
    keyring, before = attack.chain.hops[1]._keyring, set(attack.drops_seen())
    attack.chain.hops[2]._state.announced = -1
    accept_setup_again(attack, 2)
    attack.chain.start_hop(1)._keyring = keyring
    attack.chain.place = Place(-1, -1, NOTHING_BEFORE)
    attack.open()
    attack.chain.hops[1].set_up(Batch(attack.context, SETUP, attack.came("alice")))
    assert before & set(attack.drops_seen()) == attack.alices_drops


# -- duplicates -------------------------------------------------------------------------------------------


def double_alice(attack: Attack) -> set[bytes]:
    """Put alice's onions in place of carol's too; return the drops accessed more than twice behind hop 1."""

    def double(batch: Batch) -> Batch:
        items = list(batch.items)
        copied = zip(attack.places("carol"), attack.places("alice"), strict=True)
        for place, other in copied if batch.kind is SETUP else ():
            items[place] = batch.items[other]
        return replace(batch, items=items)

    attack.chain.taps[0].change = double
    attack.run()
    return {drop for drop, count in attack.drops_seen().items() if count > 2}


def test_an_onion_that_is_in_a_batch_twice_leaves_an_honest_hop_once() -> None:
    attack = Attack()
    assert double_alice(attack) == set()
    left = attack.chain.taps[1].setups[-1].items
    assert len(set(left)) == len(left)
    assert len(attack.sizes) == 1
    assert None not in attack.back("bob")


def test_it_leaves_twice_if_the_hop_forgets_what_it_has_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(SeenOnions, "is_new", lambda seen, onion: True)
    attack = Attack()
    assert double_alice(attack) == attack.alices_drops


# -- a setup that fails and is tried again -----------------------------------------------------------------


def without(
    attack: Attack, left_out: str | None, number: int, drops: dict[str, list[bytes]]
) -> Counter[bytes]:
    """Have a setup without one person fail when the last hop has seen it; return the drops it saw."""

    def fail(batch: Batch) -> Batch:
        raise HopError(2, "has seen enough")

    attack.open(number, sets_up=True)
    uploads = attack.uploads(drops)
    if left_out is not None:
        put = attack.chain.taps[0]
        put.change = lambda batch: replace(
            batch,
            items=[
                bytes(len(item)) if place in attack.places(left_out) else item
                for place, item in enumerate(batch.items)
            ],
        )
    attack.chain.taps[2].change = fail
    assert attack.close(uploads).lost
    return attack.drops_seen()


def lost_access(attack: Attack, *, fresh: bool) -> list[set[bytes]]:
    """Try a setup without alice, and without bob; return which drops each time one access fewer went to."""
    drops = attack.choose_drops()
    everybody = without(attack, None, FIRST_ROUND, drops)
    found = []
    for later, name in enumerate(("alice", "bob"), 1):
        tried = without(attack, name, FIRST_ROUND + later, attack.choose_drops() if fresh else drops)
        found.append({drop for drop, times in tried.items() if times < everybody[drop]})
    return found


def test_if_a_setup_tried_again_had_the_same_drops_it_would_link_whom_it_was_tried_without() -> None:
    """Noise is no help: it is never in two."""
    attack = Attack()
    one, other = lost_access(attack, fresh=False)
    assert one == other == attack.alices_drops


def test_with_drops_of_their_own_two_attempts_have_nothing_in_common() -> None:
    assert lost_access(Attack(), fresh=True) == [set(), set()]


def test_a_client_goes_elsewhere_at_every_attempt_whether_it_talks_or_not() -> None:
    room = Room(talk=True, people=("alice", "bob", "carol"))
    room.play(4 * room.epoch_rounds)
    seen: list[Counter[bytes]] = []

    def fail(batch: Batch) -> Batch:
        seen.append(Counter(batch.items))
        raise HopError(2, "has seen enough")

    room.chain.taps[2].change = fail
    for _ in range(2):
        room.begin()
        uploads = {name: room.decode(engine.build_upload()) for name, engine in room.engines.items()}
        outcome = room.chain.close(list(room.clients.values()), uploads)
        assert outcome.lost
        room.end(outcome)
    first, second = seen
    assert min(first.total(), second.total()) > 2 * len(NAMES)
    assert first.keys().isdisjoint(second)


# -- forced setups ----------------------------------------------------------------------------------------

ROUNDS = 30


def force_setups(attack: Attack, *, crash: bool) -> int:
    """Ask for a setup in every round, and have it fail; return how many the last hop has seen."""
    seen: list[Batch] = []

    def fail(batch: Batch) -> Batch:
        seen.append(batch)
        raise HopError(2, "has seen enough")

    attack.chain.hops[2]._ration.allows = lambda ahead=0.0: True  # type: ignore[method-assign]
    for number in range(FIRST_ROUND, FIRST_ROUND + ROUNDS):
        attack.chain.now = 2.0 * number
        if crash:
            attack.chain.start_hop(1)
        with suppress(RefusedError):  # no setup, no round
            attack.open(number, sets_up=True)
            attack.chain.taps[2].change = fail
            attack.chain.now += 2.0  # it collects
            assert attack.close(attack.uploads()).lost
    return len(seen)


@pytest.mark.parametrize("crash", [False, True])
def test_setups_are_rationed_whatever_the_entry_asks_for_and_however_often_a_hop_dies(
    tmp_path: Path, *, crash: bool
) -> None:
    """Each costs budget, the failed ones too."""
    attack = Attack(folder=tmp_path)
    seconds = ROUNDS * attack.chain.chain.round_ms / 1000
    allowed = 3 + seconds / setup_seconds(attack.chain.chain)
    assert allowed - 2 <= force_setups(attack, crash=crash) <= allowed


def test_without_a_ration_every_round_costs_as_much_as_an_epoch(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Ration, "allows", lambda ration, ahead=0.0: True)
    assert force_setups(Attack(), crash=False) == ROUNDS
