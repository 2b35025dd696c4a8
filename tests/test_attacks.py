"""Attacks by hops and people that do not do what they should: each fails, and succeeds with one defence off.

Hop 1 of three is honest where nothing else is said; the entry and the last hop are one adversary, who holds
what ``tests/worlds.py`` lays open of them. What stops each attack is listed in ``docs/threat-model.md``.
"""

from __future__ import annotations

import math
import os
import re
from collections import Counter
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import replace
from functools import cache
from itertools import product
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from iirs import onion
from iirs.client.chain_view import ChainView
from iirs.errors import ChainError, HopError, OnionError
from iirs.geometry import DROP_ID_SIZE, PEER_MESSAGE_SIZE, BatchKind
from iirs.noise import NO_NOISE, Noise
from iirs.onion import RoundContext, peel
from iirs.server.deaddrop import ACCESSES, DeadDrop
from iirs.server.hops import mix_hop
from iirs.server.mix_net import RoundOutcome
from iirs.server.mix_stage import Batch, SeenOnions
from iirs.suite import X25519, KeyPair, PublicKey
from iirs.wire.rounds import Announcement, Upload, announcement_hash
from tests.worlds import FIRST_ROUND, TALK, Client, OpenChain, Room, idle, request, talking

NAMES = ("alice", "bob", "carol")
Counts = tuple[int, int]
"""Singles and pairs."""
FORCED_OFF = replace(NO_NOISE, forced=True)


class Attack:
    """A chain whose entry and last hop are the adversary's; alice and bob talk, and carol does not."""

    def __init__(self, noise: Noise | None = None, folder: Path | None = None, *, talk: bool = True) -> None:
        folders = {} if folder is None else {1: folder}
        self.chain = OpenChain(folders=folders) if noise is None else OpenChain(noise, folders=folders)
        self.clients = [Client(self.chain, name) for name in NAMES]
        self.talk = talk
        self._known: list[tuple[RoundContext, KeyPair]] = []

    def open(self, number: int = FIRST_ROUND) -> RoundContext:
        self.announcement = self.chain.prepare(number)
        self.context = self.chain.open(self.announcement)
        self._known.append((self.context, self.chain.pair(2)))
        return self.context

    def uploads(self) -> dict[str, Upload]:
        """Return what everybody uploads, alice first; remember what alice asks for."""
        first, second = talking() if self.talk else (idle(), idle())
        self.asked = first
        wanted = zip(self.clients, (first, second, idle()), strict=True)
        return {client.name: client.upload(self.context, items) for client, items in wanted}

    def run(self, number: int = FIRST_ROUND) -> RoundOutcome:
        self.open(number)
        return self.close(self.uploads())

    def close(self, uploads: dict[str, Upload]) -> RoundOutcome:
        self.outcome = self.chain.close(self.clients, uploads)
        assert not self.outcome.lost, self.outcome.failure
        return self.outcome

    def back(self, name: str) -> list[bytes | None]:
        """Return what a client finds in the replies of the last round."""
        return self.clients[NAMES.index(name)].open(self.context, self.outcome)

    @property
    def alices_drops(self) -> set[bytes]:
        """What the adversary wants to know."""
        return {item[:DROP_ID_SIZE] for item in self.asked}

    def places(self, name: str) -> list[int]:
        """Where a client's onions stand in what leaves the entry: the entry has mixed them itself."""
        first = 2 * NAMES.index(name)
        return [self.chain.orders[0][-1].index(index) for index in (first, first + 1)]

    def opened(self, item: bytes) -> bytes | None:
        """Return the request in an onion that left hop 1, if it is for any round and key of the last hop."""
        for context, pair in self._known:
            with suppress(OnionError):
                return peel(item, pair, X25519, context, 2, TALK)[1]
        return None

    def drops_seen(self) -> Counter[bytes]:
        """Return how often each drop is accessed by what left hop 1, as the last hop sees."""
        opened = map(self.opened, self.chain.taps[1].batches[-1].onions)
        return Counter(item[:DROP_ID_SIZE] for item in opened if item is not None)


def sizes(attack: Attack) -> set[int]:
    return {len(replies.encode().body) for replies in attack.outcome.replies.values()}


# -- tagging ----------------------------------------------------------------------------------------------

MARK = 5
"""How far from the end of the onion inside the byte is that is flipped."""


def flipped(item: bytes, from_end: int) -> bytes:
    return item[:-from_end] + bytes([item[-from_end] ^ 1]) + item[len(item) - from_end + 1 :]


def tag_alice(attack: Attack) -> set[bytes]:
    """Mark alice's onions before hop 1; return the drops of what opens behind it with the mark taken off."""

    def mark(batch: Batch) -> Batch:
        onions = list(batch.onions)
        for place in attack.places("alice"):
            onions[place] = flipped(onions[place], 16 + MARK)  # 16: the layer's own tag
        return replace(batch, onions=onions)

    attack.chain.taps[0].change = mark
    attack.run()
    marked = [item for item in attack.chain.taps[1].batches[-1].onions if attack.opened(item) is None]
    unmarked = [attack.opened(flipped(item, MARK)) for item in marked]
    return {item[:DROP_ID_SIZE] for item in unmarked if item is not None}


def test_an_onion_marked_before_an_honest_hop_does_not_come_out_of_it() -> None:
    attack = Attack()
    assert tag_alice(attack) == set()
    assert all(attack.drops_seen()[drop] == 1 for drop in attack.alices_drops)  # bob's
    assert attack.back("alice") == [None, None]
    assert None not in attack.back("bob") + attack.back("carol")
    assert len(sizes(attack)) == 1


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


def replies_recognised(attack: Attack) -> dict[bytes, int]:
    """Return where in the entry's batch the entry recognises what the last hop gave back, by drop."""
    attack.run()
    at_the_entry = attack.chain.taps[0].answers[-1]
    given = zip(attack.chain.taps[2].batches[-1].onions, attack.chain.taps[2].answers[-1], strict=True)
    return {
        asked[:DROP_ID_SIZE]: attack.chain.orders[0][-1][place]
        for asked, answer in given
        for place, reply in enumerate(at_the_entry)
        if answer[:64] in reply
    }


def test_a_reply_marked_by_the_last_hop_is_not_recognised_by_the_entry() -> None:
    assert replies_recognised(Attack()) == {}


def test_it_is_if_hops_do_not_seal_replies(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(mix_hop, "seal_reply", lambda key, reply: reply + bytes(16))
    attack = Attack()
    recognised = replies_recognised(attack)
    assert {recognised[drop] for drop in attack.alices_drops} <= {0, 1, 2, 3}  # alice's onions, and bob's


# -- replay -----------------------------------------------------------------------------------------------


def alices_onions(attack: Attack) -> list[bytes]:
    """Return alice's onions as they left the entry in the last round."""
    return [attack.chain.taps[0].batches[-1].onions[place] for place in attack.places("alice")]


def accept_again(attack: Attack, hop: int) -> None:
    """Have a hop forget which batches it has run; the last hop is the adversary's and does so anyway."""
    attack.chain.hops[hop]._mix._last = dict.fromkeys(BatchKind, -1)


def replay_in_its_round(attack: Attack) -> set[bytes]:
    """Send alice's onions of the last round again, alone; return the drops that were seen both times."""
    before = set(attack.drops_seen())
    accept_again(attack, 2)
    attack.chain.hops[1].exchange(Batch(attack.context, TALK, alices_onions(attack)))
    return before & set(attack.drops_seen())


def test_a_hop_runs_no_second_batch_in_a_round() -> None:
    attack = Attack()
    attack.run()
    with pytest.raises(HopError, match="round that is over"):
        replay_in_its_round(attack)
    assert len(attack.chain.taps[1].batches) == 1


def test_not_even_if_it_forgets_the_round_for_its_noise_is_made_once() -> None:
    attack = Attack()
    attack.run()
    accept_again(attack, 1)
    with pytest.raises(HopError, match="made no noise"):
        replay_in_its_round(attack)


def test_if_it_does_what_both_batches_show_is_alices() -> None:
    attack = Attack()
    attack.run()
    accept_again(attack, 1)
    attack.chain.hops[1]._noise.begin(attack.context, attack.chain.public[1:])
    assert replay_in_its_round(attack) == attack.alices_drops


def replay_in_a_later_round(attack: Attack, later: int) -> set[bytes]:
    """Send alice's onions again in a later round, in place of carol's; return the drops seen both times."""
    attack.run()
    old, before, drops = alices_onions(attack), set(attack.drops_seen()), attack.alices_drops

    def replay(batch: Batch) -> Batch:
        onions = list(batch.onions)
        for place, item in zip(attack.places("carol"), old, strict=True):
            onions[place] = item
        return replace(batch, onions=onions)

    attack.chain.taps[0].change = replay
    attack.run(FIRST_ROUND + later)
    seen = before & set(attack.drops_seen())
    assert seen <= drops
    return seen


def test_an_onion_of_an_earlier_round_does_not_open_in_a_later_one() -> None:
    attack = Attack()
    assert replay_in_a_later_round(attack, 1) == set()
    assert len(sizes(attack)) == 1


def bind_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    """Bind layers to chain, hop and kind only."""
    real = onion._layer_info
    monkeypatch.setattr(
        onion, "_layer_info", lambda chain, number, digest, hop, kind: real(chain, 0, bytes(32), hop, kind)
    )


def test_it_opens_again_if_its_layers_are_bound_to_no_round(monkeypatch: pytest.MonkeyPatch) -> None:
    bind_nothing(monkeypatch)
    attack = Attack()
    assert len(replay_in_a_later_round(attack, 1)) == 2


def test_but_not_once_its_epoch_is_over_for_the_key_is_gone(monkeypatch: pytest.MonkeyPatch) -> None:
    bind_nothing(monkeypatch)
    assert replay_in_a_later_round(Attack(), 40) == set()


def restarted(attack: Attack) -> OpenChain:
    """Run a round, start hop 1 anew, and have the chain prepared for the same round once more."""
    attack.run()
    attack.chain.hops[2]._state.announced = -1  # the adversary's own: it does what it likes
    accept_again(attack, 2)
    attack.chain.start_hop(1)
    attack.chain.prepare(FIRST_ROUND)
    return attack.chain


def test_a_hop_that_was_restarted_does_not_open_a_round_again(tmp_path: Path) -> None:
    attack = Attack(folder=tmp_path)
    chain = restarted(attack)
    with pytest.raises(HopError, match="round that is over"):
        chain.open(chain.prepare(FIRST_ROUND))
    with pytest.raises(HopError, match="round that is over"):
        chain.hops[1].exchange(Batch(attack.context, TALK, alices_onions(attack)))


def test_nor_does_one_that_lost_its_state_open_the_rounds_onions_for_its_key_is_gone() -> None:
    attack = Attack()
    chain = restarted(attack)
    attack.open()
    chain.hops[1].exchange(Batch(attack.context, TALK, alices_onions(attack)))
    assert attack.alices_drops.isdisjoint(attack.drops_seen())


def test_one_that_lost_its_state_and_kept_its_key_would(monkeypatch: pytest.MonkeyPatch) -> None:
    attack = Attack()
    attack.run()
    keyring, before = attack.chain.hops[1]._keyring, set(attack.drops_seen())
    attack.chain.hops[2]._state.announced = -1
    accept_again(attack, 2)
    attack.chain.start_hop(1)._keyring = keyring
    attack.open()
    attack.chain.hops[1].exchange(Batch(attack.context, TALK, alices_onions(attack)))
    assert before & set(attack.drops_seen()) == attack.alices_drops


# -- duplicates -------------------------------------------------------------------------------------------


def double_alice(attack: Attack) -> set[bytes]:
    """Put alice's onions in place of carol's too; return the drops accessed more than twice behind hop 1."""

    def double(batch: Batch) -> Batch:
        onions = list(batch.onions)
        for place, copied in zip(attack.places("carol"), attack.places("alice"), strict=True):
            onions[place] = batch.onions[copied]
        return replace(batch, onions=onions)

    attack.chain.taps[0].change = double
    attack.run()
    return {drop for drop, count in attack.drops_seen().items() if count > 2}


def test_an_onion_that_is_in_a_batch_twice_leaves_an_honest_hop_once() -> None:
    attack = Attack()
    assert double_alice(attack) == set()
    left = attack.chain.taps[1].batches[-1].onions
    assert len(set(left)) == len(left)
    assert len(sizes(attack)) == 1
    assert None not in attack.back("bob")


def test_it_leaves_twice_if_the_hop_forgets_what_it_has_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(SeenOnions, "is_new", lambda seen, onion: True)
    attack = Attack()
    assert double_alice(attack) == attack.alices_drops


# -- everybody but alice blocked --------------------------------------------------------------------------


def only_alice(noise: Noise, *, talk: bool) -> tuple[int, int]:
    """Pass on nobody's onions but alice's; return the singles and pairs that the last hop counts.

    What the entry and the last hop add themselves they know: here it is nothing.
    """
    attack = Attack(noise, talk=talk)
    attack.chain.taps[0].change = lambda batch: replace(
        batch,
        onions=[
            os.urandom(len(batch.onions[0])) if place not in attack.places("alice") else item
            for place, item in enumerate(batch.onions)
        ],
    )
    attack.run()
    accesses = Counter(attack.drops_seen().values())
    assert accesses.keys() <= {1, 2}
    drawn = attack.chain.noise[1][-1]
    return accesses[1] - drawn.singles, accesses[2] - drawn.pairs


@pytest.mark.parametrize("noise", [FORCED_OFF, Noise(10, 3, forced=True)])
def test_whoever_lets_only_alice_through_gets_two_singles_if_she_talks_and_a_pair_if_not(
    noise: Noise,
) -> None:
    """Besides the noise. Without noise that is all there is, and it gives her away every time."""
    for _ in range(3):
        assert only_alice(noise, talk=True) == (2, 0)
        assert only_alice(noise, talk=False) == (0, 1)


NOBODY = (("a", "a"), ("b", "b"), ("c", "c"))
WITH_BOB = (("x", "y"), ("x", "y"), ("c", "c"))
WITH_CAROL = (("x", "y"), ("b", "b"), ("x", "y"))


@pytest.mark.parametrize(("one", "other"), [(NOBODY, WITH_BOB), (NOBODY, WITH_CAROL), (WITH_BOB, WITH_CAROL)])
def test_whichever_onions_are_blocked_one_conversation_changes_two_singles_and_a_pair_at_most(
    one: tuple[tuple[str, ...], ...], other: tuple[tuple[str, ...], ...]
) -> None:
    """Counted for every choice of what to block: there is nothing better than to let only alice through."""

    def counts(people: tuple[tuple[str, ...], ...], passed: Sequence[bool]) -> Counts:
        drops = Counter(drop for drop, let in zip(sum(people, ()), passed, strict=True) if let)
        accesses = Counter(drops.values())
        return accesses[1], accesses[2]

    changes = set()
    for passed in product((False, True), repeat=6):
        (singles, pairs), (other_singles, other_pairs) = counts(one, passed), counts(other, passed)
        changes.add((singles - other_singles, pairs - other_pairs))
    assert changes == {(0, 0), (2, -1), (-2, 1)}


TALKING, IDLE = (2, 0), (0, 1)
"""What alice alone adds to singles and pairs."""


@cache
def chances(mean: int, scale: float) -> list[float]:
    """Return the chance of each value of ``max(0, mean + L(scale))``, as far as a float can tell."""
    decay = math.exp(-1 / scale)
    above = [
        (1 - decay) / (1 + decay) * decay ** abs(value - mean) for value in range(1, mean + int(40 * scale))
    ]
    return [decay**mean / (1 + decay), *above]


def chance(noise: Noise, real: Counts, seen: Counts) -> float:
    """Return how likely it is to count ``seen`` singles and pairs with ``real`` ones among the noise."""
    tables = chances(noise.mu, noise.b), chances(noise.mu // 2, noise.b / 2)
    drawn = [count - own for count, own in zip(seen, real, strict=True)]
    return math.prod(
        table[value] if 0 <= value < len(table) else 0.0 for table, value in zip(tables, drawn, strict=True)
    )


def excess(noise: Noise, one: Counts, other: Counts, epsilon: float) -> float:
    """Return by how much some event exceeds ``exp(epsilon)`` times its chance in the other world."""
    singles, pairs = chances(noise.mu, noise.b), chances(noise.mu // 2, noise.b / 2)
    more = 0.0
    for single, p in enumerate(singles):
        for pair, q in enumerate(pairs):
            if p * q > 1e-16:
                seen = (single + one[0], pair + one[1])
                more += max(0.0, p * q - math.exp(epsilon) * chance(noise, other, seen))
    return more


settings = pytest.mark.parametrize("noise", [Noise(20, 4), Noise(60, 8)])
both_ways = pytest.mark.parametrize(("one", "other"), [(TALKING, IDLE), (IDLE, TALKING)])


@settings
@both_ways
def test_what_the_noise_costs_in_such_a_round_is_epsilon_and_delta_at_most(
    noise: Noise, one: Counts, other: Counts
) -> None:
    """Computed from the chances, not sampled."""
    assert excess(noise, one, other, noise.epsilon) <= noise.delta
    assert excess(noise, one, other, noise.epsilon / 2) > noise.delta  # and it is not much less


@settings
def test_for_a_person_in_two_conversations_at_once_it_costs_twice_as_much(noise: Noise) -> None:
    one, other = (4, 0), (0, 2)
    assert excess(noise, one, other, noise.epsilon) > noise.delta
    assert excess(noise, one, other, 2 * noise.epsilon) <= noise.delta * (1 + math.exp(noise.epsilon))


DRAWS = 10_000
MARGIN = math.sqrt(math.log(2 / 1e-6) / 2 / (2 * DRAWS))
"""What luck adds to the share of right guesses with a chance of one in a million (Hoeffding)."""


def guessed_right(noise: Noise, drawn: Noise) -> float:
    """Return how often the likelier world is the true one, if hop 1 draws its noise as ``drawn`` says."""
    right = 0.0
    for real in (TALKING, IDLE):
        for _ in range(DRAWS):
            count = drawn.draw(os.urandom)
            seen = (count.singles + real[0], count.pairs + real[1])
            one, other = chance(noise, TALKING, seen), chance(noise, IDLE, seen)
            right += 0.5 if one == other else (one > other) == (real == TALKING)
    return right / (2 * DRAWS)


def test_the_best_guess_is_hardly_better_than_a_coin_with_noise_and_always_right_without() -> None:
    noise = Noise(1000, 48)  # what an ordinary machine carries
    best = 1 / (1 + math.exp(-noise.epsilon)) + noise.delta
    assert best < 0.53
    assert guessed_right(noise, noise) <= best + MARGIN
    assert guessed_right(noise, FORCED_OFF) == 1.0


# -- a third access ---------------------------------------------------------------------------------------


def third_access(order: Sequence[int] = (0, 1, 2)) -> tuple[Attack, list[bytes]]:
    """Have carol's first onion go to alice's and bob's first drop; return what everybody posted there.

    The last hop hears of alice's, bob's and carol's in this order; hops do not mix, so that it can be said.
    """
    attack = Attack(FORCED_OFF)
    first, second, third = *talking(), idle()
    third[0] = request(first[0][:DROP_ID_SIZE])
    attack.asked = first
    attack.open()
    wanted = zip(attack.clients, (first, second, third), strict=True)
    uploads = {client.name: client.upload(attack.context, items) for client, items in wanted}
    places = [2 * place for place in order] + [1, 3, 5]
    for hop in (0, 1, 2):
        stage = attack.chain._stage if hop == 0 else attack.chain.hops[hop]._mix._stage
        stage._permute = (lambda _: places) if hop == 0 else (lambda count: list(range(count)))
    attack.outcome = attack.chain.close(attack.clients, uploads)
    return attack, [items[0][DROP_ID_SIZE:] for items in (first, second, third)]


def test_a_third_access_to_a_drop_gets_random_bytes_and_changes_nothing_for_the_first_two() -> None:
    attack, (alices, bobs, carols) = third_access()
    assert not attack.outcome.lost
    assert len(sizes(attack)) == 1
    assert attack.back("alice")[0] == bobs
    assert attack.back("bob")[0] == alices
    got = attack.back("carol")[0]
    assert got is not None
    assert len(got) == PEER_MESSAGE_SIZE
    assert got not in (alices, bobs, carols)


def test_one_that_the_shuffle_puts_first_gets_a_sealed_message_and_costs_one_of_the_two_hers() -> None:
    """The limit of that defence: whoever knows a drop's id can take a message out of it."""
    attack, (alices, bobs, carols) = third_access(order=(2, 0, 1))
    assert not attack.outcome.lost
    assert len(sizes(attack)) == 1
    assert attack.back("carol")[0] == alices
    assert attack.back("alice")[0] == carols
    assert attack.back("bob")[0] not in (None, alices, bobs, carols)


def shared_by_all(drop: DeadDrop) -> list[int]:
    return [*drop.places[1:], drop.places[0]]


def first_two_only(drop: DeadDrop) -> list[int]:
    if len(drop.places) > ACCESSES:
        raise OnionError("a third access")
    return shared_by_all(drop)


def test_a_third_access_that_counts_turns_the_others_messages_away(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(DeadDrop, "partners", shared_by_all)
    attack, (alices, _, carols) = third_access()
    assert attack.back("bob")[0] == carols
    assert attack.back("carol")[0] == alices


def test_a_third_access_that_is_an_error_tells_that_there_is_a_conversation_and_ends_everybodys_round(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(DeadDrop, "partners", first_two_only)
    attack, _ = third_access()
    assert attack.outcome.lost
    assert attack.back("alice") == attack.back("bob") == [None, None]


# -- one client shown another round -----------------------------------------------------------------------


def partition(attack: Attack, honest: int) -> set[bytes]:
    """Show alice another announcement; return which of her drops come out of the honest hop.

    A dishonest hop 1 opens her onions as of what she was shown, and passes them on.
    """
    common = attack.open()
    other = replace(attack.announcement, online=99)
    shown = RoundContext(common.chain_id, common.round_number, announcement_hash(other.encode()))
    alice = attack.clients[0]
    uploads = attack.uploads()
    uploads["alice"] = alice.upload(shown, attack.asked)
    attack._known.append((shown, attack.chain.pair(2)))
    alices = [
        alice.entry_end.open_up(shown, TALK, index, item)
        for index, item in enumerate(uploads["alice"].onions)
    ]
    if honest == 2:
        alices = [peel(item, attack.chain.pair(1), X25519, shown, 1, TALK)[1] for item in alices]
    attack.chain.taps[honest - 1].change = lambda batch: replace(batch, onions=[*alices, *batch.onions[2:]])
    attack.close(uploads)
    left = attack.chain.taps[honest].batches[-1].onions
    requests = left if honest == 2 else [attack.opened(item) for item in left]
    return {item[:DROP_ID_SIZE] for item in requests if item is not None} & attack.alices_drops


later_hops = pytest.mark.parametrize("honest", [1, 2])


@later_hops
def test_a_client_shown_another_announcement_gets_nothing_through_the_first_honest_hop(honest: int) -> None:
    attack = Attack(talk=False)
    assert partition(attack, honest) == set()
    assert len(sizes(attack)) == 1


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


# -- one client shown other keys --------------------------------------------------------------------------


def drops_in_alices_upload(*, talk: bool) -> set[bytes]:
    """Announce the entry's own key for every hop, to alice only; return the drops in what she uploads."""
    room = Room(talk)
    room.play(10)
    honest = room._complete(room.chain.prepare(room.number))
    announcement = replace(honest, key_ids=(honest.key_ids[0],) * len(honest.key_ids))
    pair = room.chain.keyring.find(honest.key_ids[0])[1]
    context = RoundContext(room.chain.chain.chain_id, room.number, announcement_hash(announcement.encode()))
    room.engines["alice"].open_round(announcement.encode())
    *_, message = room.engines["alice"].build_upload()
    assert message is not None
    drops = set()
    for index, item in enumerate(Upload.decode(message, room.chain.chain.geometry).onions):
        opened = room.clients["alice"].entry_end.open_up(context, TALK, index, item)
        for hop in (1, 2):
            opened = peel(opened, pair, X25519, context, hop, TALK)[1]
        drops.add(opened[:DROP_ID_SIZE])
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


def test_the_threat_model_names_tests_that_are_here() -> None:
    page = Path(__file__).parent.parent / "docs" / "threat-model.md"
    named = re.findall(r"`(test_\w+)`", page.read_text(encoding="utf-8"))
    assert len(named) >= 19
    assert [name for name in named if name not in globals()] == []
