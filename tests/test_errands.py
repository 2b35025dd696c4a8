"""A new password, and the end of an account, by way of uploads that go anyway."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from iirs.client.account.account import Account
from iirs.client.account.account_change import AccountChanges
from iirs.client.account.entry_calls import (
    forget_account,
    keep_new_vault,
    login,
    new_password,
    new_vault,
    register,
)
from iirs.client.account.password_keys import opens
from iirs.client.events import ConnectionChanged, ConnectionState, ErrandDone, PeerState, TextReceived
from iirs.client.store.store import ClientStore
from iirs.errors import AccountError, PeerError
from iirs.geometry import ERRAND_SIZE
from iirs.server.service import Service
from iirs.wire.accounts import NO_ERRAND, Errand, ErrandKind, Result
from iirs.wire.rounds import NoticeFlags
from tests.harness import PASSWORD, Person, Town, town, wait_until

NEW = "another horse battery"


@pytest.fixture
def place(tmp_path: Path) -> Iterator[Town]:
    with town(tmp_path, round_seconds=0.1) as running:
        yield running


def change(place: Town, person: Person, old: str = PASSWORD, new: str = NEW) -> None:
    account, home = person.connection.account, place.home(person.name)
    keys = new_password(account, home, old, new)
    person.connection.change_password(
        keys.login_secret, lambda public: new_vault(account, home, keys, public)
    )


def may_log_in(place: Town, name: str, password: str, *, elsewhere: bool = False) -> bool:
    home = place.home("another machine" if elsewhere else name)
    try:
        login(place.link, home, name, password)
    except AccountError:
        return False
    return True


def stop(person: Person) -> None:
    person.connection.quit(at_once=True, coming_back=True)
    assert person.connection.join(60)


def test_a_new_password_takes_the_old_ones_place_and_conversations_and_history_stay(place: Town) -> None:
    alice, bob = place.person("alice"), place.person("bob")
    place.introduce(alice, bob)
    alice.connection.send("bob", "before")
    bob.wait_for(TextReceived)
    change(place, alice)
    assert alice.wait_for(ErrandDone) == ErrandDone(deletion=False, accepted=True)
    alice.connection.send("bob", "after")
    bob.wait_for(TextReceived, lambda event: event.text == "after")
    assert opens(alice.connection.account, NEW, place.home("alice").cost)
    assert not opens(alice.connection.account, PASSWORD, place.home("alice").cost)
    stop(alice)
    keep_new_vault(alice.account, place.home("alice"))  # as a window does when it hears so
    new_ticket = place.home("alice").ticket(alice.account.chain, "alice")
    assert new_ticket != alice.account.ticket, "an old machine that was lost is a stranger again"
    assert login(place.link, place.home("alice"), "alice", NEW).ticket == new_ticket
    assert not may_log_in(place, "alice", PASSWORD)
    again = place.connect(login(place.link, place.home("elsewhere"), "alice", NEW))
    again.wait_state("bob", PeerState.CONNECTED)
    found: list[str] = []
    again.connection.call(lambda engine: found.extend(item.text for item in engine.messenger.history("bob")))
    wait_until(lambda: found == ["before", "after"])


@pytest.mark.parametrize(("old", "new"), [("wrong horse battery", NEW), (PASSWORD, "short")])
def test_a_wrong_or_weak_password_changes_nothing(place: Town, old: str, new: str) -> None:
    alice = place.person("alice")
    with pytest.raises(AccountError):
        change(place, alice, old, new)
    assert alice.connection._engine.account_changes.pending == NO_ERRAND


def test_after_a_change_whose_answer_was_lost_the_client_comes_back_by_itself(
    place: Town, monkeypatch: pytest.MonkeyPatch
) -> None:
    alice = place.person("alice")
    alice.wait_for(ConnectionChanged, lambda event: event.state is ConnectionState.ONLINE)
    real = Service.do_errand

    def silent(service: Service, connection: object, errand: Errand) -> NoticeFlags:
        real(service, connection, errand)  # type: ignore[arg-type]
        return NoticeFlags.NONE

    monkeypatch.setattr(Service, "do_errand", silent)
    before = place.service.accounts._accounts["alice"]
    change(place, alice)
    wait_until(lambda: place.service.accounts._accounts["alice"] != before)
    assert may_log_in(place, "alice", NEW, elsewhere=True)
    # That login took the session over. Whoever starts again with what is stored finds the way.
    assert alice.connection.join(60)
    again = place.connect(alice.account)
    assert again.wait_for(ErrandDone).accepted
    assert again.connection.account.login_secret != alice.account.login_secret


def test_an_errand_outlives_its_process_until_the_server_has_answered(tmp_path: Path) -> None:
    store = ClientStore(tmp_path / "store", bytes(32))
    errand = Errand(ErrandKind.NEW_PASSWORD, os.urandom(32), os.urandom(60))
    AccountChanges.load(store, bytes(32)).set(errand)
    again = AccountChanges.load(store, bytes(32))
    assert (again.pending, again.secrets) == (errand, [bytes(32), errand.login_secret])
    assert again.answered(NoticeFlags.LATE) is None
    assert again.answered(NoticeFlags.ERRAND_REFUSED) == ErrandDone(deletion=False, accepted=False)
    assert (again.pending, again.login_secret) == (NO_ERRAND, bytes(32))
    again.set(errand)
    with pytest.raises(AccountError, match="still under way"):
        again.set(Errand(ErrandKind.DELETE))
    assert again.pending == errand, "an answer does not say which errand it is for"
    assert again.answered(NoticeFlags.ERRAND_DONE) == ErrandDone(deletion=False, accepted=True)
    assert again.answered(NoticeFlags.ERRAND_DONE) is None
    assert AccountChanges.load(store, bytes(32)).pending == NO_ERRAND
    store.close()


@pytest.mark.parametrize("kind", [ErrandKind.NEW_PASSWORD, ErrandKind.DELETE])
@pytest.mark.parametrize("newer", ["its own password", "another machine's"])
def test_an_old_errand_does_not_come_back_over_a_newer_password(kind: ErrandKind, newer: str) -> None:
    """Fixed: a change left pending on one machine undid one made later on another."""
    store = ClientStore(":memory:", bytes(32))
    errand = Errand(kind, os.urandom(32), os.urandom(60))
    AccountChanges.load(store, bytes(32)).set(errand)
    secret = errand.login_secret if newer == "its own password" else os.urandom(32)
    assert AccountChanges.load(store, secret).pending == NO_ERRAND
    assert AccountChanges.load(store, bytes(32)).pending == NO_ERRAND, "dropped for good"


def test_keys_that_stay_here_stay_here_and_open_with_either_password_until_the_change_is_done(
    place: Town,
) -> None:
    home = place.home("alice")
    account = register(place.link, home, "alice", PASSWORD, keys_stay_here=True)
    alice = place.connect(account)
    change(place, alice)
    alice.wait_for(ErrandDone)
    stop(alice)
    assert home.account_file(account.chain, "alice", "new-vault").exists()
    assert may_log_in(place, "alice", NEW)
    # That login shows which vault goes with the password the server knows: the next change cannot cost it.
    assert not home.account_file(account.chain, "alice", "new-vault").exists()
    keep_new_vault(account, home)
    assert may_log_in(place, "alice", NEW)
    assert not may_log_in(place, "alice", NEW, elsewhere=True), "the server has a decoy"
    home.account_file(account.chain, "alice", "vault").unlink()
    assert not may_log_in(place, "alice", NEW)


def test_a_deleted_account_is_left_as_everybody_leaves_and_its_name_stays_taken(place: Town) -> None:
    alice, bob = place.person("alice"), place.person("bob")
    place.introduce(alice, bob)
    length = len(place.service.accounts.raw_entries())
    alice.connection.delete_account()
    assert alice.wait_for(ErrandDone) == ErrandDone(deletion=True, accepted=True)
    alice.wait_for(ConnectionChanged, lambda event: event.state is ConnectionState.CLOSED)
    assert alice.connection.join(60)
    with pytest.raises(AccountError, match="was deleted"):
        login(place.link, place.home("alice"), "alice", PASSWORD)
    with pytest.raises(AccountError, match="name is taken"):
        register(place.link, place.home("other"), "alice", PASSWORD)
    assert len(place.service.accounts.raw_entries()) == length
    stored = place.service.accounts._storage.accounts()[0]
    assert (stored.secret_hash, stored.salt, set(stored.vault)) == (b"", b"", {0})


def test_a_deletion_whose_answer_was_lost_is_known_from_the_refusal(
    place: Town, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Fixed: the client was turned away, and kept everything on the machine."""
    alice = place.person("alice")
    alice.wait_for(ConnectionChanged, lambda event: event.state is ConnectionState.ONLINE)
    real = Service.do_errand

    def silent(service: Service, connection: object, errand: Errand) -> NoticeFlags:
        real(service, connection, errand)  # type: ignore[arg-type]
        return NoticeFlags.NONE

    monkeypatch.setattr(Service, "do_errand", silent)
    alice.connection.delete_account()
    wait_until(lambda: not place.service.accounts._accounts["alice"].secret_hash)
    stop(alice)
    again = place.connect(alice.account)
    assert again.wait_for(ErrandDone) == ErrandDone(deletion=True, accepted=True)
    assert again.connection.join(60)


def test_forgetting_an_account_removes_its_files_and_no_others(tmp_path: Path) -> None:
    with town(tmp_path) as place:
        home = place.home("alice")
        account = register(place.link, home, "alice", PASSWORD, keys_stay_here=True)
        store = ClientStore(home.account_file(account.chain, "alice", "store"), bytes(32))
        store.close()
        other = replace(account, name="bob")
        ClientStore(home.account_file(account.chain, "bob", "store"), bytes(32)).close()
        forget_account(account, home)
        kept = {
            path.suffix for path in home.folder.iterdir() if path.suffix in {".store", ".vault", ".ticket"}
        }
        assert kept == {".store"}
        assert home.account_file(other.chain, "bob", "store").exists()


def account_of(place: Town) -> Account:
    return place.register("alice")


def test_the_server_writes_once_however_often_it_is_asked(
    place: Town, monkeypatch: pytest.MonkeyPatch
) -> None:
    account_of(place)
    accounts = place.service.accounts
    writes: list[object] = []
    monkeypatch.setattr(accounts._storage, "change", writes.append)
    errand = Errand(ErrandKind.NEW_PASSWORD, os.urandom(32), os.urandom(60))
    assert all(accounts.do_errand(0, errand) for _ in range(3))
    assert len(writes) == 1
    assert accounts.do_errand(0, replace(errand, login_secret=os.urandom(32)))
    assert len(writes) == 2
    assert all(accounts.do_errand(0, Errand(ErrandKind.DELETE)) for _ in range(3))
    assert len(writes) == 3
    assert not accounts.do_errand(0, errand), "nobody gets a deleted account back"


def test_an_errand_is_one_size_and_an_unknown_kind_is_refused() -> None:
    change = Errand(ErrandKind.NEW_PASSWORD, os.urandom(32), os.urandom(60))
    for errand in (change, NO_ERRAND, Errand(ErrandKind.DELETE)):
        assert len(errand.encode()) == ERRAND_SIZE
        assert Errand.decode(errand.encode()) == errand
    for kind in (ErrandKind.NONE, ErrandKind.DELETE):
        for place in (1, ERRAND_SIZE - 1):
            data = bytearray(Errand(kind).encode())
            data[place] = 1
            with pytest.raises(PeerError, match="more than its kind"):
                Errand.decode(bytes(data))
    with pytest.raises(PeerError):
        Errand.decode(bytes([3]) + bytes(ERRAND_SIZE - 1))
    with pytest.raises(PeerError):
        NoticeFlags.decode(8)
    assert Result.DELETED.sentence
