"""Rounds of long ago, announced again: refused by whoever is asked, by the clock and not by memory."""

from __future__ import annotations

import os
from dataclasses import replace

import pytest

from iirs.chain import CLOCK_TOLERANCE_SECONDS
from iirs.client.account.account import Account, Environment, SessionStart
from iirs.client.engine import Engine
from iirs.client.store.store import ClientStore
from iirs.epoch import EpochKeyring
from iirs.errors import OnionError, PeerError
from iirs.geometry import VAULT_SIZE
from iirs.message import MessageKind
from iirs.onion import EntryChannel, RoundContext, channel_period, peel
from iirs.server.accounts.database import LAST_ROUND, Storage
from iirs.server.keystore import ChainOptions, make_keys
from iirs.server.service import Service
from iirs.server.settings import ServiceSettings
from iirs.suite import X25519
from iirs.wire.accounts import AccountRecord
from iirs.wire.rounds import NOTHING_BEFORE, Announcement, RoundFlags, Upload, announcement_hash
from tests.builders import make_chain, make_directory, person
from tests.open_chain import FIRST_ROUND, SETUP, Client, OpenChain

MUCH_LATER = FIRST_ROUND + 1_000_000


def drops_with_a_stolen_key(clock: float | None) -> set[bytes]:
    """Return what the entry reads of carol's upload for a round of long ago.

    A hop's epoch key was stolen in its time. The hop has long erased it, the entry has not forgotten it: it
    announces that round again, with today's head, to carol, who is new. ``clock`` is what hers shows.
    """
    chain = OpenChain(directory=("alice", "bob", "carol"))
    old = chain.prepare(FIRST_ROUND)
    shown, stolen, own = list(chain.announced), chain.pair(1), chain.pair(2)
    chain.now = MUCH_LATER * 2.0
    now = chain.prepare(MUCH_LATER)
    with pytest.raises(OnionError):
        chain.hops[1]._keyring.find(shown[1].key_id)
    client = Client(chain, "carol")
    environment = Environment(lambda: chain.now if clock is None else clock)
    account = Account("carol", chain.chain, person("carol"), b"")
    engine = Engine(account, ClientStore(":memory:", bytes(32)), environment)
    entries = [entry.raw for entry in chain.directory.entries]
    keys = b"".join(key.encode() for key in shown)
    record = AccountRecord(2, 0, bytes(VAULT_SIZE))
    engine.begin_session(SessionStart(record, client.own_end, now.head, entries, keys, []))
    announcement = replace(old, head=now.head).encode()
    engine.open_round(announcement)
    _, *messages = engine.build_upload()  # a prekey comes first
    bodies = {message.kind: message.body for message in messages}
    body, geometry = bodies.pop(MessageKind.UPLOAD), chain.chain.geometry
    context = RoundContext(chain.chain.chain_id, FIRST_ROUND, announcement_hash(announcement))
    drops = set()
    for index, onion in enumerate(Upload.decode(body, bodies, geometry).setups, geometry.first_index(SETUP)):
        inner = client.entry_end.open_up(context, SETUP, index, onion)
        for hop, pair in ((1, stolen), (2, own)):
            _, inner = peel(inner, pair, X25519, context, hop, SETUP)
        drops.add(inner)
    return drops


def test_a_round_of_long_ago_is_refused_by_a_client_that_does_not_remember_it() -> None:
    """Fixed: only rounds far ahead were, so an entry opened all layers with a key stolen long ago."""
    with pytest.raises(PeerError, match="more than an hour behind"):
        drops_with_a_stolen_key(None)


def test_with_a_clock_that_was_set_back_the_entry_would_read_where_she_is() -> None:
    assert len(drops_with_a_stolen_key(FIRST_ROUND * 2.0)) == 1


# -- an hour, however long rounds are ---------------------------------------------------------------------

ROUNDS_MS = [10, 200, 2000, 7001, 600_000]
CLOCK = 1_700_000_000.0


@pytest.mark.parametrize("round_ms", ROUNDS_MS)
@pytest.mark.parametrize(("side", "sentence"), [(-1, "an hour behind"), (1, "far ahead")])
def test_a_client_takes_what_is_an_hour_from_its_clock_and_no_more(
    side: int, sentence: str, round_ms: int
) -> None:
    keys = make_chain(slots=1, round_ms=round_ms)
    directory = make_directory(keys.chain, "alice")
    now, hour = int(CLOCK * 1000) // round_ms, int(CLOCK_TOLERANCE_SECONDS * 1000) // round_ms
    assert keys.chain.rounds_around(CLOCK) == range(now - hour, now + hour + 1)

    def announce(number: int) -> None:
        epoch_key = EpochKeyring(keys.chain, 0, keys.identities[0]).for_logins(number)
        head, raws = keys.head(directory), [entry.raw for entry in directory.entries]
        account = Account("alice", keys.chain, person("alice"), b"")
        engine = Engine(account, ClientStore(":memory:", bytes(32)), Environment(lambda: CLOCK))
        channel = EntryChannel(os.urandom(32), b"", channel_period(number))
        record = AccountRecord(0, 0, bytes(VAULT_SIZE))
        engine.begin_session(SessionStart(record, channel, head, raws, epoch_key.encode(), []))
        key_ids, flags = (epoch_key.key_id,), RoundFlags.NONE
        shown = Announcement(NOTHING_BEFORE, number, number, flags, round_ms, 5, 1, key_ids, head, 1, ())
        engine.open_round(shown.encode())
        assert engine.build_upload()

    announce(now + side * hour)
    with pytest.raises(PeerError, match=sentence) as refused:
        announce(now + side * (hour + 1))
    assert "One of the two clocks is wrong" in str(refused.value), "nobody knows that it is the client's"


@pytest.mark.parametrize("round_ms", ROUNDS_MS)
def test_a_server_whose_rounds_fall_behind_leaves_numbers_out_before_clients_refuse_them(
    round_ms: int, caplog: pytest.LogCaptureFixture
) -> None:
    clock = [CLOCK]
    keys = make_keys(ChainOptions(round_seconds=round_ms / 1000))
    service = Service(keys, Storage("sqlite://"), ServiceSettings(clock=lambda: clock[0]))
    announcer = service._announcer
    first = announcer._next_number()
    assert first == int(CLOCK * 1000) // round_ms
    clock[0] += 1000  # the rounds stand still
    assert announcer._next_number() == first
    clock[0] += 2 * CLOCK_TOLERANCE_SECONDS
    number = announcer._next_number()
    around = keys.chain.rounds_around(clock[0])
    assert around.start < number < around[len(around) // 2]
    assert "fallen behind" not in caplog.text, "nothing is left out before the chain agrees"
    opened = announcer.open_next(service.accounts, service.prekeys, lambda: round_ms / 1000)
    assert opened is not None
    assert Announcement.decode(opened.announcement, keys.chain.geometry).round_number == number
    assert announcer.last_round == number <= service._storage.number(LAST_ROUND)
    assert "fallen behind" in caplog.text
    clock[0] = CLOCK  # and numbers never go back
    assert announcer._next_number() == number + 1
