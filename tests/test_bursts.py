"""Many people register or come at once: whoever is next is in after few rounds, and all are told alike."""

from __future__ import annotations

import math
import os
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import pytest

import iirs.server.accounts.registry
import iirs.server.connectionThread
from iirs.directory import Directory, Entry
from iirs.errors import AccountError
from iirs.geometry import DIRECTORY_INCREMENT_MAX, PREKEY_INCREMENT_MAX, PREKEY_SIZE, VAULT_SIZE
from iirs.message import Message, MessageKind
from iirs.prekey import Prekey
from iirs.server.accounts.database import Storage, StoredAccount
from iirs.server.accounts.database_thread import DatabaseThread
from iirs.server.accounts.guesses import Allowance, GuessBounds, Guesses
from iirs.server.accounts.prekey_store import PrekeyStore
from iirs.server.accounts.rate_limit import RateLimit
from iirs.server.accounts.registry import Accounts
from iirs.server.hops.hop_state import HopState
from iirs.server.hops.later_hop import HopEnvironment, LaterHop
from iirs.server.hops.link import HEADER_SIZE, LinkKind, Prepare, decode_header, encode_open, requests
from iirs.wire.accounts import Errand, ErrandKind, Registration, Result
from iirs.wire.limits import CloseReason
from iirs.wire.rounds import NOTHING_BEFORE, Announcement, RoundFlags
from tests.builders import ChainKeys, make_chain, person, prekey_pair
from tests.harness import FAST_BACKOFF, PATIENT_SECONDS, knows, town, wait_until
from tests.raw import Session
from tests.test_late import first_round
from tests.test_prekeys_served import Uploading

KEYS = make_chain(2)
BURST = 1000


def entry(number: int, keys: ChainKeys = KEYS) -> Entry:
    return Entry.create(keys.chain.chain_id, f"person{number}", person("somebody"))


def registration(number: int, keys: ChainKeys = KEYS) -> Registration:
    return Registration(entry(number, keys).raw, bytes(32), os.urandom(VAULT_SIZE))


@pytest.fixture
def accounts() -> Iterator[Accounts]:
    """Those of an entry whose chain is longer: nobody is in before every hop has signed."""
    storage = Storage("sqlite://")
    database = DatabaseThread(storage)
    database.start()
    yield Accounts(
        KEYS.chain,
        storage,
        database,
        None,
        os.urandom,
        registrations=RateLimit(100, 0),
        guesses=Guesses(GuessBounds(Allowance(10, 0)), bytes(32)),
        changes=RateLimit(5, 0),
    )
    database.stop(0)
    storage.close()


def register(accounts: Accounts, count: int) -> None:
    """Have so many people register at once, from ten addresses."""
    for number in range(count):
        assert accounts.register(registration(number), f"192.0.2.{number % 10}") is Result.OK


def rounds_until_in(accounts: Accounts, position: int) -> int:
    """Announce round after round until this account is among the announced; return how many it took."""
    for count in range(1, 1000):
        increment = accounts.next_increment()
        accounts.publish(KEYS.sign_head(increment.length, increment.digest))
        if position < increment.length:
            return count
    raise AssertionError("never")


def test_a_burst_of_registrations_keeps_the_next_newcomer_out_for_four_rounds(accounts: Accounts) -> None:
    """Fixed: it took 126, more than four minutes, because eight were announced a round."""
    for number in range(BURST):  # as they are once they have been stored
        accounts._take_in(StoredAccount(number, f"person{number}", entry(number).raw, b"", b"x", b""))
    assert accounts.register(registration(BURST), "192.0.2.99") is Result.OK
    assert rounds_until_in(accounts, BURST) == 4
    assert accounts.next_increment().entries == ()


def test_it_is_many_if_an_announcement_does_not_grow(
    accounts: Accounts, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(iirs.server.accounts.registry, "DIRECTORY_INCREMENT_MAX", 8)
    register(accounts, 100)
    assert rounds_until_in(accounts, 99) == 13


def test_the_longest_announcement_there_is_passes_a_link_and_is_accepted_by_a_hop() -> None:
    directory = Directory(KEYS.chain.chain_id)
    for number in range(DIRECTORY_INCREMENT_MAX):
        directory.append(entry(number))
    raws = tuple(item.raw for item in directory.entries)
    now, world = 3000, HopEnvironment(os.urandom, clock=lambda: 6000.0)
    hop = LaterHop(KEYS.chain, 1, KEYS.identities[1], HopState(None, KEYS.chain.chain_id), world, None)
    prepare = Prepare(now, now, NOTHING_BEFORE, 0, raws)
    key_ids = (bytes(32), hop.prepare(prepare, math.inf).keys[0].key_id)
    prekeys = (os.urandom(PREKEY_SIZE),) * PREKEY_INCREMENT_MAX
    head = KEYS.head(directory)
    shown = Announcement(
        NOTHING_BEFORE, now, now, RoundFlags.NONE, 2000, 1, 1, key_ids, head, 0, raws, prekeys
    )
    encoded = shown.encode()
    geometry = KEYS.chain.geometry
    assert len(encoded) == geometry.announcement_max
    frame = encode_open(encoded, 0).encode()
    assert decode_header(frame[:HEADER_SIZE], requests(geometry))[0] is LinkKind.OPEN
    hop.open_round(encoded, math.inf)
    assert hop.context(now).round_number == now


class Nowhere:
    """A database that keeps no prekeys."""

    def prekeys(self) -> list[bytes]:
        return []

    def keep_prekeys(self, records: object, forgotten: object = ()) -> None:
        pass


def test_the_prekeys_of_a_crowd_are_announced_sixteen_a_round() -> None:
    """Fixed: with two a round, the last of 500 who had come at once could not be called for eight minutes."""
    directory = Directory(KEYS.chain.chain_id)
    for number in range(50):
        directory.append(entry(number))
    store = PrekeyStore(KEYS.chain, Nowhere(), lambda position: directory.entries[position])
    public = prekey_pair("somebody").public_bytes
    for position in range(50):
        store.take(Prekey.create(person("somebody"), directory, position, 0, public), 10)
    assert [len(store.announce(50, 10 + later)) for later in range(5)] == [16, 16, 16, 2, 0]


def test_what_a_burst_adds_is_the_same_for_everybody_and_gone_when_it_is_over(tmp_path: Path) -> None:
    seen: dict[str, list[int]] = {"alice": [], "bob": []}

    def tapped(name: str) -> dict[str, object]:
        def tap(direction: str, message: Message) -> None:
            if message.kind is MessageKind.ANNOUNCE:
                seen[name].append(len(message.body))

        return {"tap": tap}

    with town(tmp_path, slots=1, paced=False) as place:
        people = [place.connect(place.register(name), replace(FAST_BACKOFF, **tapped(name))) for name in seen]
        geometry, chain = place.service.chain.geometry, place.service.chain

        def announced(count: int) -> None:
            wait_until(lambda: all(len(sizes) == count for sizes in seen.values()))

        wait_until(lambda: len(place.service._sessions) == 2)
        place.service.run_round()
        announced(1)
        for number in range(20):
            raw = Entry.create(chain.chain_id, f"person{number}", person("somebody")).raw
            assert place.service.accounts.register(Registration(raw, bytes(32), bytes(60)), "x") is Result.OK
        for count in (2, 3):
            place.step()
            announced(count)
        assert all(knows(one, "person19") for one in people)
        grown = 1 + geometry.announcement_with(20, 0)
        assert seen["alice"] == seen["bob"] == [geometry.announce_size, grown, geometry.announce_size]


# -- what one account, or one address, can have done --------------------------------------------------------


def test_a_place_for_the_last_name_is_given_once_however_many_register_at_once(
    accounts: Accounts, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Fixed: it was looked up before waiting for the database; a longer directory nobody can log in with."""
    monkeypatch.setattr(iirs.server.accounts.registry, "MAX_ENTRIES", 2)
    at_work, may_go_on = threading.Event(), threading.Event()

    def hang() -> None:
        at_work.set()
        assert may_go_on.wait(PATIENT_SECONDS)

    with ThreadPoolExecutor(8) as pool:
        pool.submit(accounts._database.ask, hang)
        assert at_work.wait(PATIENT_SECONDS)
        answers = [pool.submit(accounts.register, registration(number), "x") for number in range(4)]
        wait_until(lambda: len(accounts._database._requests) == 4)
        may_go_on.set()
        results = sorted(answer.result() for answer in answers)
    assert results == [Result.OK, Result.OK, Result.TOO_MANY, Result.TOO_MANY]
    assert len(accounts.raw_entries()) == len(accounts._storage.accounts()) == 2
    assert accounts.is_full


def new_password() -> Errand:
    return Errand(ErrandKind.NEW_PASSWORD, os.urandom(32), os.urandom(VAULT_SIZE))


def test_one_account_has_few_passwords_stored_however_often_it_sets_one(
    accounts: Accounts, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Fixed: 245 a second were written, each a transaction on the disk, by one account that set new ones."""
    register(accounts, 2)
    writes: list[StoredAccount] = []
    monkeypatch.setattr(accounts._storage, "change", writes.append)
    last = new_password()
    assert [accounts.do_errand(0, errand) for errand in (*(new_password() for _ in range(4)), last)] == [
        True
    ] * 5
    for _ in range(100):
        with pytest.raises(AccountError, match="too often"):
            accounts.do_errand(0, new_password())
        assert accounts.do_errand(0, last), "what is done already is only said again"
    assert len(writes) == 5
    assert accounts.do_errand(1, new_password()), "another account"
    assert accounts.do_errand(0, Errand(ErrandKind.DELETE)), "and an end is never put off"
    assert len(writes) == 7


def test_late_uploads_are_few_at_once_and_their_errands_too(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Fixed: uploads held back for a day could all come at once, and each had a password stored."""
    monkeypatch.setattr(iirs.server.connectionThread, "_UPLOADS_DUE_MAX", 8)
    with town(tmp_path, slots=1, paced=False) as place:
        writes: list[StoredAccount] = []
        monkeypatch.setattr(place.service.accounts._storage, "change", writes.append)
        uploading = Uploading(place, "carol")
        session = first_round(uploading)
        with session.end as end:
            for _ in range(20):
                place.service.run_round()
                session.next_announcement()
            late = [with_errand(session, new_password()) for _ in range(9)]
            end.say(*late[:8])
            wait_until(lambda: place.service.mix_net._late == 8)
            place.service.run_round()
            assert session.next_announcement() & 1
            assert len(writes) == 5
            place.service.tidy()
            end.say(*late, late[0])
            assert end.ending() is CloseReason.PROTOCOL


def with_errand(session: Session, errand: Errand) -> bytes:
    """An upload of a round that is over, which asks for something all the same."""
    return session.upload(1, errand=errand)


def test_one_account_has_few_prekeys_announced_however_many_it_sends() -> None:
    """Fixed: it could have one more told to everybody in each round, for ever."""
    directory = Directory(KEYS.chain.chain_id)
    directory.append(entry(0))
    store = PrekeyStore(KEYS.chain, Nowhere(), lambda position: directory.entries[position])
    announced = 0
    for number in range(90):
        public = prekey_pair(f"machine {number % 2}").public_bytes
        store.take(Prekey.create(person("somebody"), directory, 0, 0, public), number)
        announced += len(store.announce(1, number))
    assert announced == 10 + 2
