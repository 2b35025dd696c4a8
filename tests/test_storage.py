"""A database that is full, gone, hung, damaged or missing: rounds go on, and nobody gets another's name."""

from __future__ import annotations

import logging
import sqlite3
import subprocess
import sys
import threading
from collections.abc import Mapping
from contextlib import closing
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import event

from iirs.client.account.entry_calls import TryLaterError
from iirs.client.events import TextReceived
from iirs.errors import AccountError, ConfigError, StorageError
from iirs.server.accounts.database import LAST_ROUND, USED_ROUND, Storage, StoredAccount
from iirs.server.accounts.database_thread import DatabaseThread
from iirs.server.hops.setup_main import main as chain_main
from iirs.server.keystore import FIRST_START_FILE, ServerKeys
from iirs.server.main import build_service, parse_arguments
from iirs.server.round_numbers import RoundNumbers
from iirs.server.service import Service
from iirs.server.settings import ServiceSettings
from iirs.tls import make_certificate
from iirs.wire.accounts import Result
from tests.builders import make_chain
from tests.harness import Town, pair, town, wait_until


class Faulty(Storage):
    """A database whose writes fail or hang for as long as a test says so."""

    def __init__(self, path: Path) -> None:
        super().__init__(path)
        self.is_full = False
        self.answers = threading.Event()
        self.answers.set()

    def _try(self) -> None:
        self.answers.wait()
        if self.is_full:
            raise StorageError("OperationalError, SQLITE_FULL")

    def add(self, account: StoredAccount) -> None:
        self._try()
        super().add(account)

    def change(self, account: StoredAccount) -> None:
        self._try()
        super().change(account)

    def set_numbers(self, numbers: Mapping[str, int]) -> None:
        self._try()
        super().set_numbers(numbers)

    def set_last_rounds(self, rounds: Mapping[int, int]) -> None:
        self._try()
        super().set_last_rounds(rounds)

    def keep_prekeys(self, *records: Any) -> None:
        self._try()
        super().keep_prekeys(*records)


@pytest.mark.parametrize("fault", ["full", "hung"])
def test_rounds_go_on_without_the_database_and_registration_says_not_now(
    fault: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.WARNING, "iirs.server")
    storage = Faulty(tmp_path / "server.sqlite")
    with town(tmp_path, storage=storage, settings=ServiceSettings()) as place:
        place.service._database._patience = 0.3
        alice, bob = pair(place)
        if fault == "full":
            storage.is_full = True
        else:
            storage.answers.clear()
        for number in range(3):
            with pytest.raises(TryLaterError) as refused:
                place.register(f"carol{number}")
            assert refused.value.result is Result.NOT_NOW
        for text in ("one", "two"):
            alice.connection.send("bob", text)
            bob.wait_for(TextReceived, lambda event, text=text: event.text == text)
        bob.connection.quit(at_once=True, coming_back=True)
        assert bob.connection.join(60)
        bob = place.connect(bob.account)  # who is registered gets in
        alice.connection.send("bob", "three")
        bob.wait_for(TextReceived, lambda event: event.text == "three")
        assert len(_warnings(caplog)) == 1
        storage.is_full = False
        storage.answers.set()
        wait_until(lambda: len(_warnings(caplog)) == 2)
        place.register("carol0")
        begins, ends = _warnings(caplog)
        assert "rounds go on, but nobody can register" in begins
        assert "works again" in ends
    again = Storage(tmp_path / "server.sqlite")
    assert [account.name for account in again.accounts()][:2] == ["alice", "bob"]
    assert again.number(LAST_ROUND) == place.service._announcer.last_round
    assert again.last_round(0) > 0
    again.close()


def test_another_process_that_locks_the_database_holds_up_no_round(tmp_path: Path) -> None:
    path = tmp_path / "server.sqlite"
    with town(tmp_path, storage=Storage(path)) as place, closing(sqlite3.connect(path)) as other:
        alice, bob = pair(place)
        other.execute("BEGIN EXCLUSIVE")
        first = place.service._announcer.last_round
        alice.connection.send("bob", "still here")
        bob.wait_for(TextReceived)
        wait_until(lambda: place.service._announcer.last_round > first + 5)
        other.rollback()


def test_an_errand_that_cannot_be_stored_is_asked_for_again_and_done_in_the_end(tmp_path: Path) -> None:
    storage = Faulty(tmp_path / "server.sqlite")
    with town(tmp_path, storage=storage) as place:
        alice = place.person("alice")
        storage.is_full = True
        alice.connection.delete_account()
        before = place.service._announcer.last_round
        wait_until(lambda: place.service._announcer.last_round > before + 3)
        assert storage.accounts()[0].secret_hash
        storage.is_full = False
        wait_until(lambda: not storage.accounts()[0].secret_hash)


def test_a_registration_that_only_seemed_to_fail_takes_nobodys_name_or_place(tmp_path: Path) -> None:
    class Interrupted(Storage):
        fails = True

        def add(self, account: StoredAccount) -> None:
            super().add(account)
            if self.fails:
                raise StorageError("the connection broke before the answer")

    storage = Interrupted(tmp_path / "server.sqlite")
    with town(tmp_path, storage=storage) as place:
        with pytest.raises(TryLaterError):
            place.register("alice")
        storage.fails = False
        place.register("bob")
        place.register("alice")  # with other keys: those of before may be gone
        with pytest.raises(AccountError, match="name is taken"):
            place.register("alice")
        assert [account.name for account in storage.accounts()] == ["bob", "alice"]
        assert [entry.name for entry in place.service.accounts._directory.entries] == ["bob", "alice"]


def test_what_was_asked_and_given_up_is_not_done_later(tmp_path: Path) -> None:
    storage = Faulty(tmp_path / "server.sqlite")
    database = DatabaseThread(storage, patience=0.1)
    database.start()
    storage.answers.clear()
    database.reserve(5)
    done: list[int] = []
    for number in range(3):
        with pytest.raises(StorageError):
            database.ask(lambda number=number: done.append(number))  # type: ignore[misc]  # a lambda's default
    storage.answers.set()
    wait_until(lambda: not database.failing)
    assert database.ask(lambda: done) == []
    database.stop(5)
    assert storage.number(LAST_ROUND) == 5


# -- round numbers ------------------------------------------------------------------------------------------


class Numbers:
    """Round numbers of a server that starts again and again, by a clock of the test's own."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.clock = 1_000_000
        self.uptime = 500.0
        self.used: list[int] = []

    def run(self, rounds: int, *, cleanly: bool, stored: bool = True) -> None:
        storage = Faulty(self.path)
        database = DatabaseThread(storage)
        database.start()
        numbers = RoundNumbers(database, lambda: self.clock, 2000, lambda: self.uptime)
        for _ in range(rounds):
            if not numbers.may_use(numbers.next):
                break
            numbers.use(numbers.next)
            self.used.append(numbers.last_used)
            wait_until(lambda: not stored or storage.number(USED_ROUND) == self.used[-1])
            self.clock += 1
            self.uptime += 2.0
            storage.is_full = not stored
        if cleanly:
            database.stop(numbers.last_used)
        storage.is_full = True  # a process that was killed writes nothing any more
        storage.close()


def test_after_a_clean_stop_numbers_go_on_where_they_were(tmp_path: Path) -> None:
    numbers = Numbers(tmp_path / "server.sqlite")
    for _ in range(5):
        numbers.run(10, cleanly=True)
    assert numbers.used == list(range(1_000_000, 1_000_050))


def test_a_server_that_was_killed_and_is_back_at_once_goes_on_where_it_was(tmp_path: Path) -> None:
    numbers = Numbers(tmp_path / "server.sqlite")
    for _ in range(10):
        numbers.run(10, cleanly=False)
    assert numbers.used == sorted(set(numbers.used))
    assert max(after - before for before, after in pairwise(numbers.used)) <= 3
    assert numbers.used[-1] - numbers.clock < 20


@pytest.mark.parametrize("step_back", [0, 15, 1000])
def test_whatever_ends_a_server_no_number_comes_twice_or_far_ahead_of_the_clock(
    step_back: int, tmp_path: Path
) -> None:
    numbers = Numbers(tmp_path / "server.sqlite")
    for _ in range(10):
        numbers.run(30, cleanly=False, stored=False)  # killed when the database had been away for a while
        numbers.clock -= step_back
    assert numbers.used == sorted(set(numbers.used))
    assert step_back or 100 < numbers.used[-1] - numbers.clock < 1800  # what clients allow


def test_numbers_that_are_not_kept_are_not_used(tmp_path: Path) -> None:
    storage = Faulty(tmp_path / "server.sqlite")
    database = DatabaseThread(storage, patience=0.1)
    database.start()
    numbers = RoundNumbers(database, lambda: 1_000_000, 2000)
    assert numbers.may_use(numbers.next)
    storage.is_full = True
    used = 0
    while numbers.may_use(numbers.next):
        assert numbers.use(numbers.next) == 0
        assert numbers.last_used <= storage.number(LAST_ROUND)
        used += 1
    assert used > 500  # at two seconds, for a quarter of an hour
    storage.is_full = False
    wait_until(lambda: numbers.may_use(numbers.next))
    database.stop(numbers.last_used)


def test_an_older_number_that_is_stored_late_takes_nothing_back(tmp_path: Path) -> None:
    storage = Faulty(tmp_path / "server.sqlite")
    database = DatabaseThread(storage)
    database.start()
    storage.is_full = True
    database.reserve(100)
    wait_until(lambda: database.failing)
    storage.is_full = False
    database.reserve_now(5000)
    wait_until(lambda: not database._left)
    database.ask(lambda: None)
    assert storage.number(LAST_ROUND) == database.reserved == 5000
    database.stop(7)
    assert storage.number(LAST_ROUND) == 7


def test_what_nobody_expected_is_told_to_who_waits_and_the_thread_goes_on(tmp_path: Path) -> None:
    database = DatabaseThread(Storage(tmp_path / "server.sqlite"))
    database.start()

    def fail(*_: object) -> None:
        raise MemoryError

    with pytest.raises(StorageError, match="MemoryError"):
        database.ask(fail)
    with pytest.raises(StorageError, match="MemoryError"):
        database.ask(lambda: None, then=fail)
    assert database.ask(lambda: "still here") == "still here"
    database.stop(1)


def test_a_number_that_the_hops_refuse_is_not_kept(tmp_path: Path) -> None:
    """Fixed: one tick with a clock three hours ahead kept rounds from being announced for as long."""
    storage, now = Storage(tmp_path / "server.sqlite"), [1_000_000.0]
    two = make_chain(2)
    keys = ServerKeys(two.chain, two.chain_file, two.identities[0], *make_certificate())
    service = Service(keys, storage, ServiceSettings(clock=lambda: now[0]))
    announcer = service._announcer
    first = announcer._numbers.next
    now[0] += 3 * 3600
    refused = announcer.open_next(service.accounts, service.prekeys, lambda: 2.0)
    assert refused is None, "nobody is behind the entry"
    assert announcer._numbers.next == first
    assert storage.number(LAST_ROUND) == 0


# -- what errors say ----------------------------------------------------------------------------------------

SECRET = StoredAccount(0, "secretname", b"secretentry", b"secretsalt", b"secrethash", b"secretvault")


def test_a_full_disk_is_named_and_nothing_that_was_to_be_stored(tmp_path: Path) -> None:
    storage = Storage(tmp_path / "server.sqlite")

    @event.listens_for(storage._engine, "begin")
    def _fill(connection: Any) -> None:
        connection.exec_driver_sql("PRAGMA max_page_count=1")

    with pytest.raises(StorageError) as full:
        storage.add(replace(SECRET, vault=b"secretvault" * 10_000))
    assert str(full.value) == "OperationalError, SQLITE_FULL"
    _assert_quotes_nothing(full.value)


def test_no_error_quotes_what_was_to_be_stored(tmp_path: Path) -> None:
    storage = Storage(tmp_path / "server.sqlite")
    storage.add(SECRET)
    with pytest.raises(AccountError) as taken:
        storage.add(SECRET)
    _assert_quotes_nothing(taken.value)
    with closing(sqlite3.connect(tmp_path / "server.sqlite")) as connection:
        connection.execute("DROP TABLE account")
        connection.commit()
    for act in (storage.add, storage.change):
        with pytest.raises(StorageError) as gone:
            act(SECRET)
        _assert_quotes_nothing(gone.value)


def _assert_quotes_nothing(error: BaseException) -> None:
    shown: list[str] = []
    logger = logging.getLogger("shown")
    handler = logging.Handler()
    handler.emit = lambda record: shown.append(logging.Formatter().format(record))  # type: ignore[method-assign]
    logger.addHandler(handler)
    logger.error("it failed", exc_info=error)
    logger.removeHandler(handler)
    assert "Traceback" in shown[0]
    assert (
        "secret" not in shown[0].replace(str(Path(__file__)), "").replace("SECRET", "").split("Error: ")[-1]
    )
    assert error.__suppress_context__


# -- a database that is damaged, missing or another's -------------------------------------------------------


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A data directory in which three people are registered."""
    service = _build(tmp_path / "server")
    port = service.start("127.0.0.1", 0, paced=False)
    place = Town(service, port, tmp_path, [], [])
    for name in ("alice", "bob", "carol"):
        place.register(name)
    service.stop()
    return tmp_path / "server"


def _build(folder: Path) -> Service:
    return build_service(parse_arguments(["--data-dir", str(folder)]), ServiceSettings())


def _start_and_stop(folder: Path) -> int:
    """Start and stop a server, and return how many are registered with it."""
    service = _build(folder)
    service.start("127.0.0.1", 0, paced=False)
    service.stop()
    return len(service.accounts.raw_entries())


@pytest.mark.parametrize("damage", ["missing", "empty", "without tables", "another's"])
def test_accounts_that_are_gone_from_beside_a_chain_are_refused_until_they_are_back(
    damage: str, folder: Path, tmp_path: Path
) -> None:
    assert _start_and_stop(folder) == 3
    file = folder / "server.sqlite"
    kept = file.read_bytes()
    file.unlink()
    if damage == "empty":
        file.touch()
    elif damage == "without tables":
        with closing(sqlite3.connect(file)) as connection:
            connection.execute("VACUUM")
    elif damage == "another's":
        Storage(file).close()
    before = sorted(item.name for item in folder.iterdir())
    for _ in range(2):
        with pytest.raises(ConfigError, match="missing or empty"):
            _build(folder)
    assert sorted(item.name for item in folder.iterdir()) == before
    file.write_bytes(kept)
    assert _start_and_stop(folder) == 3


def test_an_empty_database_named_by_url_is_refused_too(folder: Path, tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path / 'new.sqlite'}"
    with pytest.raises(ConfigError, match="missing or empty"):
        build_service(parse_arguments(["--data-dir", str(folder), "--database-url", url]), ServiceSettings())


def test_the_refusal_is_a_sentence_and_2(folder: Path) -> None:
    (folder / "server.sqlite").unlink()
    refused = _run(folder)
    assert (refused.returncode, refused.stdout) == (2, "")
    assert refused.stderr.startswith("iirs-server: The chain in the data directory has been in use")
    assert refused.stderr.count("\n") == 1


def test_a_server_begins_with_nobody_if_that_is_asked_for(folder: Path) -> None:
    (folder / "server.sqlite").unlink()
    (folder / FIRST_START_FILE).touch()
    assert _start_and_stop(folder) == 0
    assert not (folder / FIRST_START_FILE).exists()
    (folder / "server.sqlite").unlink()
    with pytest.raises(ConfigError, match="missing or empty"):
        _build(folder)


def test_a_database_of_an_earlier_version_is_taken_as_begun(folder: Path) -> None:
    with closing(sqlite3.connect(folder / "server.sqlite")) as connection:
        connection.execute("DELETE FROM number WHERE name = 'begun'")
        connection.commit()
    assert _start_and_stop(folder) == 3


def test_a_chain_made_by_iirs_chain_starts_with_nobody_once(tmp_path: Path) -> None:
    assert chain_main(["init", str(tmp_path / "chain"), "--noise-mu", "20", "--noise-b", "4", "--force"]) == 0
    entry = tmp_path / "chain" / "hop0"
    _build(entry)._storage.close()
    (entry / "server.sqlite").unlink()
    with pytest.raises(ConfigError, match="missing or empty"):
        _build(entry)
    assert not (tmp_path / "chain" / "hop1" / FIRST_START_FILE).exists()


def test_damaged_pages_are_a_sentence(folder: Path) -> None:
    file = folder / "server.sqlite"
    kept = file.read_bytes()
    page = int.from_bytes(kept[16:18])
    for number in range(len(kept) // page):
        start = number * page + (100 if number == 0 else 0)
        file.write_bytes(kept[:start] + b"\x5a" * (page - start % page) + kept[(number + 1) * page :])
        try:
            _build(folder)._storage.close()
        except ConfigError as error:
            assert "secret" not in str(error)  # noqa: PT017  # some pages are not read at the start
    for bad in (b"garbage" * 1000, kept[: len(kept) // 2]):
        file.write_bytes(bad)
        refused = _run(folder)
        assert refused.returncode == 2
        assert refused.stderr.startswith("iirs-server: The database ")
        assert refused.stderr.count("\n") == 1


@pytest.mark.parametrize(
    "change",
    [
        "DELETE FROM account WHERE position = 1",
        "UPDATE account SET position = 7 WHERE position = 2",
        "UPDATE account SET entry = 'text'",
        "UPDATE account SET entry = x'00'",
        "UPDATE number SET value = 'much'",
    ],
)
def test_rows_that_cannot_be_are_a_sentence(change: str, folder: Path) -> None:
    with closing(sqlite3.connect(folder / "server.sqlite")) as connection:
        connection.execute(change)
        connection.commit()
    with pytest.raises(ConfigError, match="The database"):
        _build(folder)


def _run(folder: Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "iirs.server.main", "--host", "127.0.0.1", "--port", "0"]
    return subprocess.run(
        [*command, "--data-dir", str(folder)], capture_output=True, text=True, timeout=30, check=False
    )


def _warnings(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [record.getMessage() for record in caplog.records if record.name == "iirs.server"]
