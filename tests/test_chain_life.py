"""A chain over time: epochs, restarts, strangers at the door, clocks, and people who come in meanwhile."""

from __future__ import annotations

import hashlib
import os
import shutil
import socket
import ssl
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace
from pathlib import Path
from types import ModuleType

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

import iirs.client.server_connection
import iirs.server.hops.main
import iirs.server.main
from iirs.client.account.account import Environment
from iirs.client.events import (
    ConnectionChanged,
    ConnectionState,
    Event,
    PeopleChanged,
    RoundClosed,
    StandingBy,
)
from iirs.epoch import GRACE_ROUNDS
from iirs.errors import AccountError
from iirs.onion import CHANNEL_ROUNDS
from iirs.server.accounts.database import Storage
from iirs.server.connectionThread import ConnectionSettings
from iirs.server.hops.link import LinkKind, Prepare
from iirs.server.keystore import ChainOptions, load_identity, load_or_make_keys
from iirs.server.service import Service, ServiceSettings
from iirs.tls import link_context
from iirs.wire.accounts import Result
from iirs.wire.limits import CloseReason
from tests.chain import HOST, PATIENT, RunningChain, Shape, Talk, begin_talk, running_chain
from tests.harness import FAST_BACKOFF, Person, wait_until
from tests.shared import Shared

pytestmark = pytest.mark.slow
EPOCH_ROUNDS = 6
SHAPE = Shape(epoch_rounds=EPOCH_ROUNDS)
ONLINE = ConnectionState.ONLINE
WAITING = ConnectionState.WAITING


@contextmanager
def begun(folder: Path) -> Iterator[Talk]:
    with running_chain(folder, SHAPE) as place:
        yield begin_talk(place)


@pytest.fixture(scope="module")
def talks(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Shared[Talk]]:
    with Shared(lambda: begun(tmp_path_factory.mktemp("chain"))) as shared:
        yield shared


@pytest.fixture
def talk(talks: Shared[Talk], request: pytest.FixtureRequest) -> Iterator[Talk]:
    """Two people of a whole chain, all of whose texts have arrived."""
    with talks.lent(request.session) as running:
        running.settle()
        running.place.wait_rounds(1)
        yield running
        running.place.mend()


def states(person: Person, since: int = 0) -> list[tuple[ConnectionState, str]]:
    """How a person's connection has fared."""
    return [(e.state, e.sentence) for e in person.drain()[since:] if isinstance(e, ConnectionChanged)]


def wait_connection(person: Person, state: ConnectionState, since: int, sentence: str = "") -> None:
    """Wait until a connection has come into a state, with a sentence, after the first ``since`` events."""
    try:
        wait_until(lambda: any(s is state and sentence in why for s, why in states(person, since)), PATIENT)
    except AssertionError as error:
        raise AssertionError(f"{person.name} was only {states(person, since)}") from error


# -- epochs ----------------------------------------------------------------------------------------------


def test_a_change_of_epoch_loses_no_round(talk: Talk) -> None:
    place = talk.place
    before = len(place.rounds())
    talk.say()
    place.wait_rounds(5 * EPOCH_ROUNDS + 1, lambda line: True)
    talk.say()
    talk.settle()
    lines = place.rounds()[before:]
    assert len({line.number // EPOCH_ROUNDS for line in lines}) >= 5
    assert not any(line.why_lost for line in lines)
    assert [line.number for line in lines] == list(range(lines[0].number, lines[-1].number + 1))


def test_a_hop_that_shows_the_key_of_an_epoch_that_is_over_is_not_believed(talk: Talk) -> None:
    place = talk.place
    before = len(place.log(0))
    place.restart(1, "keeps-its-key")
    place.wait_rounds(1)  # for which the key is good
    place.wait_log(0, "no round can be announced: hop 1 got, or gave, something that makes no sense", before)
    talk.say()
    place.restart(1)
    talk.settle()


def test_who_logs_in_with_a_key_that_is_gone_is_told_so_and_tries_again(
    talk: Talk, monkeypatch: pytest.MonkeyPatch
) -> None:
    account = talk.place.register("carol")
    honest, tries = iirs.client.server_connection.enter, []

    def dawdling(*arguments: object) -> object:
        if not tries:
            talk.place.wait_rounds(CHANNEL_ROUNDS + GRACE_ROUNDS + 1, lambda line: True)
        tries.append(arguments)
        return honest(*arguments)  # type: ignore[arg-type]

    monkeypatch.setattr(iirs.client.server_connection, "enter", dawdling)
    carol = talk.place.connect(account)
    wait_connection(carol, WAITING, 0, Result.STALE_KEY.sentence)
    wait_connection(carol, ONLINE, 0)
    assert len(tries) == 2
    talk.place.wait_online(3)
    leave(talk.place, "carol")


def leave(place: RunningChain, name: str) -> None:
    person = place.people.pop(name)
    person.connection.quit(at_once=True)
    assert person.connection.join(PATIENT)


# -- the entry -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("how", ["killed", "stopped"])
def test_an_entry_that_was_away_finds_its_chain_and_its_people_again(talk: Talk, how: str) -> None:
    place, marks = talk.place, talk.mark()
    last = place.rounds()[-1].number
    if how == "killed":
        place.kill(0)
    else:
        assert place.stop(0) == 0
    talk.say()
    for person in (talk.alice, talk.bob):
        wait_connection(person, WAITING, marks[person.name])
    place.start(0)
    talk.settle()
    assert place.rounds()[-1].number > last


def test_an_entry_ends_when_asked_while_a_hop_hangs(talk: Talk) -> None:
    """It finishes its round first, which then takes as long as it waits for a hop."""
    place = talk.place
    place.freeze(1)
    talk.say()
    assert place.stop(0) == 0
    place.thaw(1)
    place.start(0)
    talk.settle()


def test_a_whole_chain_that_comes_back_in_any_order_goes_on(talk: Talk) -> None:
    place = talk.place
    for hop in (1, 2, 0):
        assert place.stop(hop) == 0
    talk.say()
    marks = talk.mark()
    place.start(0)
    for person in (talk.alice, talk.bob):
        wait_connection(person, WAITING, marks[person.name], CloseReason.INCOMPLETE.sentence)
    place.start(1)
    place.start(2)
    talk.settle()


# -- strangers -------------------------------------------------------------------------------------------


def no_certificate() -> ssl.SSLContext:
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    return context


def stranger(place: RunningChain, hop: int, who: str) -> ssl.SSLContext:
    """Return what somebody who is not the hop before would say hello with; it believes whatever it meets."""
    if who == "nobody":
        return no_certificate()
    if who == "self-made":
        identity = Ed25519PrivateKey.generate()
    elif who == "the hop itself":
        identity = load_identity(place.data(hop))
    else:
        identity = load_identity(place.data({1: 2, 2: 0}[hop]))
    context = link_context(identity, place.chain.hops[hop].identity, server_side=False)
    context.verify_mode = ssl.CERT_NONE
    return context


def knock(place: RunningChain, hop: int, context: ssl.SSLContext) -> bytes:
    """Shake hands with a hop and ask for a signature; return the first byte of its answer, if any."""
    with (
        socket.create_connection((HOST, place.ports[hop]), timeout=PATIENT) as sock,
        suppress(OSError),
        context.wrap_socket(sock) as tls,
    ):
        tls.sendall(Prepare(0, 0, bytes(32), 0).encode(1000).encode())
        return tls.recv(1)
    return b""


@pytest.mark.parametrize("who", ["nobody", "self-made", "another hop", "the hop itself"])
@pytest.mark.parametrize("hop", [1, 2])
def test_nobody_but_the_hop_before_is_let_in_and_no_round_suffers(talk: Talk, hop: int, who: str) -> None:
    place = talk.place
    before, rounds = len(place.log(hop)), len(place.rounds())
    assert knock(place, hop, stranger(place, hop, who)) == b""
    place.wait_log(hop, f"refused a connection that is not from hop {hop - 1} of this chain", before)
    talk.say()
    talk.settle()
    place.wait_rounds(2)
    assert not any(line.why_lost for line in place.rounds()[rounds:])
    assert "is linked" not in place.log(hop)[before:]


def test_a_hop_that_listens_in_the_place_of_another_is_asked_nothing(talk: Talk, tmp_path: Path) -> None:
    place = talk.place
    shutil.copytree(place.data(2), tmp_path / "copy", ignore=shutil.ignore_patterns("lock*"))
    place.kill(1)
    rounds, before = len(place.rounds()), len(place.log(0))
    command = [sys.executable, "-m", "iirs.server.hops.main", "--data-dir", str(tmp_path / "copy")]
    with (tmp_path / "log").open("wb") as log:
        impostor = subprocess.Popen([*command, "--host", HOST, "--port", str(place.ports[1])], stderr=log)
    try:
        said = "refused a connection that is not from hop 1 of this chain"
        wait_until(lambda: (tmp_path / "log").read_text().count(said) >= 2, PATIENT)
    finally:
        impostor.kill()
        impostor.wait()
    assert all(line.why_lost for line in place.rounds()[rounds:])
    assert "the chain is complete again" not in place.log(0)[before:]
    talk.say()
    place.start(1)
    talk.settle()


def test_the_hop_before_is_let_in_by_the_same_knock(talk: Talk) -> None:
    """What keeps the others out is who they are; and the true hop takes its place back by itself."""
    place = talk.place
    context = link_context(load_identity(place.data(0)), place.chain.hops[1].identity, server_side=False)
    before = len(place.log(1))
    assert knock(place, 1, context) == bytes([LinkKind.REFUSED])  # it has signed a longer directory
    talk.say()
    talk.settle()
    assert place.log(1)[before:].count("hop 0 is linked") == 2


def test_connections_that_say_nothing_or_nonsense_disturb_no_round(talk: Talk) -> None:
    """They may hold all the places for handshakes, but only for so long: a link that breaks is made anew."""
    place = talk.place
    rounds = len(place.rounds())
    silent = [socket.create_connection((HOST, place.ports[1]), timeout=PATIENT) for _ in range(40)]
    for number, sock in enumerate(silent):
        if number % 2:
            try:
                sock.sendall(os.urandom(2000))
            except OSError:
                continue  # refused already
    talk.say()
    talk.settle()
    place.wait_rounds(3)
    assert not any(line.why_lost for line in place.rounds()[rounds:])
    place.restart(0)
    talk.say()
    talk.settle()
    for sock in silent:
        sock.close()


# -- clocks ----------------------------------------------------------------------------------------------


def test_a_client_whose_clock_is_slow_is_told_so_and_comes_online_when_it_is_right(talk: Talk) -> None:
    """The limit is an hour, however long rounds are."""
    wrong = [2 * 3600.0]
    options = replace(FAST_BACKOFF, environment=Environment(clock=lambda: time.time() - wrong[0]))
    place = talk.place
    account, before = place.register("dora"), len(place.rounds())
    dora = place.connect(account, options)
    wait_connection(dora, WAITING, 0, "far ahead of this machine's clock")
    place.wait_rounds(2)
    assert max(line.uploads for line in place.rounds()[before:]) == 2, "a wrong clock uploads nothing"
    wrong[0] = 0.0
    place.wait_online(3)
    leave(place, "dora")


def test_a_hop_whose_clock_is_slow_makes_no_keys_and_says_why(talk: Talk) -> None:
    place = talk.place
    before = len(place.log(0))
    place.restart(1, "slow-clock", "7200")
    place.wait_log(0, "no round can be announced: hop 1 has a clock that is more than an hour from", before)
    talk.say()
    place.restart(1, "slow-clock", "1800")  # half an hour does not matter
    talk.settle()


# -- people ----------------------------------------------------------------------------------------------


def test_several_who_register_at_once_all_get_in(talk: Talk) -> None:
    """A head holds only what every hop has signed, and an announcement two new entries."""
    place = talk.place
    names = [f"new{number}" for number in range(5)]
    together = threading.Barrier(len(names))
    failures: list[BaseException] = []

    def arrive(name: str) -> None:
        try:
            together.wait(PATIENT)
            place.person(name)
        except BaseException as error:
            failures.append(error)

    threads = [threading.Thread(target=arrive, args=(name,)) for name in names]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(PATIENT)
    assert failures == []
    for name in names:
        place.people[name].wait_for(PeopleChanged, lambda e: set(names) <= set(e.names), PATIENT)
    talk.alice.wait_for(PeopleChanged, lambda e: set(names) <= set(e.names), PATIENT)
    place.wait_online(2 + len(names))
    for name in names:
        leave(place, name)


def test_who_registers_while_a_hop_is_away_waits_for_its_signature(talk: Talk) -> None:
    place = talk.place
    place.kill(2)
    erin = place.connect(place.register("erin"))
    wait_connection(erin, WAITING, 0, Result.NOT_YET.sentence)
    assert (ONLINE, "") not in states(erin)
    place.start(2)
    wait_connection(erin, ONLINE, 0)
    place.wait_online(3)
    leave(place, "erin")


def test_a_wrong_password_is_still_refused_at_once(talk: Talk) -> None:
    """Waiting for signatures is not what keeps a guess out."""
    account = replace(talk.alice.account, name="bob", login_secret=bytes(32))
    link = talk.place.link
    transport, chain, keys = iirs.client.server_connection.Transport.connect(link, account.chain.chain_id)
    with pytest.raises(AccountError, match=Result.WRONG_PASSWORD.sentence):
        iirs.client.server_connection.enter(transport, chain, keys, "bob", bytes(32), os.urandom)
    transport.close()


# -- what is kept ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("damage", ["cut", "noise", "another chain's", "no rounds", "nothing"])
def test_a_hop_with_a_damaged_state_refuses_to_start(talk: Talk, damage: str) -> None:
    place = talk.place
    path = place.data(1) / "hop.json"
    place.kill(1)
    talk.say()
    whole = path.read_bytes()
    assert place.chain.fingerprint.encode() in whole
    another = hashlib.sha256(b"another chain").hexdigest().encode()
    path.write_bytes(
        {
            "cut": whole[: len(whole) // 2],
            "noise": os.urandom(200),
            "another chain's": whole.replace(place.chain.fingerprint.encode(), another),
            "no rounds": whole.replace(b"rounds", b"wounds"),
            "nothing": b"",
        }[damage]
    )
    said = place.refuses_to_start(1)
    assert said.startswith("iirs-mix: hop.json in the data directory is damaged or another chain's.")
    assert "Traceback" not in said
    path.write_bytes(whole)
    place.start(1)
    talk.settle()


IN_USE = "The data directory is in use by another server, or cannot be written: check --data-dir.\n"


def run(module: ModuleType, data: Path) -> str:
    """Run a program that must refuse to start, and return what it says."""
    command = [sys.executable, "-m", module.__name__, "--data-dir", str(data), "--host", HOST, "--port", "0"]
    ended = subprocess.run(command, capture_output=True, text=True, timeout=PATIENT, check=False)
    assert (ended.returncode, ended.stdout) == (2, "")
    return ended.stderr


WRONG_PROGRAM = {
    "the entry's program at a later hop": (iirs.server.main, 1, "a later hop's: run it with iirs-mix."),
    "a later hop's program at the entry": (iirs.server.hops.main, 0, "the entry's: run it with iirs-server."),
}


@pytest.mark.parametrize("case", WRONG_PROGRAM)
def test_a_program_started_with_another_hops_folder_says_which_one_to_use(tmp_path: Path, case: str) -> None:
    """Fixed: the entry's program complained of a folder that could not be read."""
    program, hop, right = WRONG_PROGRAM[case]
    with running_chain(tmp_path, start=False) as place:
        assert f": The identity in the data directory is {right}\n" in run(program, place.data(hop))


@pytest.mark.parametrize("hop", [1, 2])
def test_a_hop_that_has_lost_its_state_signs_the_directory_from_its_start(talk: Talk, hop: int) -> None:
    place = talk.place
    place.kill(hop)
    (place.data(hop) / "hop.json").unlink()
    talk.say()
    place.start(hop)
    talk.settle()


def test_a_hop_is_refused_what_another_program_holds(talk: Talk) -> None:
    place = talk.place
    assert run(iirs.server.hops.main, place.data(1)) == "iirs-mix: " + IN_USE
    assert run(iirs.server.main, place.data(0)) == "iirs-server: " + IN_USE
    place.kill(1)
    with socket.create_server((HOST, place.ports[1])):
        said = place.refuses_to_start(1)
    assert said.startswith("iirs-mix: This address and port cannot be listened on")
    place.start(1)
    talk.say()
    talk.settle()


def test_a_hop_whose_disk_is_full_runs_no_round_and_goes_on_when_it_is_not(talk: Talk) -> None:
    """Fixed: it said nothing, ended the link each time, and kept in memory what it had failed to write."""
    place, full = talk.place, talk.place.folder / "full"
    kept = place.data(1) / "hop.json"
    place.restart(1, "full-disk", str(full))
    place.wait_rounds(1)
    before, entry_before, rounds = len(place.log(1)), len(place.log(0)), len(place.rounds())
    full.touch()
    place.wait_log(1, "hop.json cannot be written, so no round is run: is the disk full", before)
    place.wait_log(0, "hop 1 does not answer", entry_before)
    whole = kept.read_bytes()
    talk.say()
    for line in place.rounds()[rounds:][2:]:
        assert line.why_lost
    assert kept.read_bytes() == whole
    full.unlink()
    talk.settle()
    assert "is linked" not in place.log(1)[before:]


def test_a_directory_that_was_rolled_back_is_not_signed(tmp_path: Path) -> None:
    """Who was registered cannot be made unheard of; the chain waits until the entry has its database back."""
    with running_chain(tmp_path) as place:
        database = place.data(0) / "server.sqlite"
        old, new = tmp_path / "old.sqlite", tmp_path / "new.sqlite"
        alice = place.person("alice")
        place.wait_online(1)
        assert place.stop(0) == 0
        shutil.copy(database, old)
        place.start(0)
        bob = place.person("bob")
        place.wait_online(2)
        assert place.stop(0) == 0
        shutil.copy(database, new)

        shutil.copy(old, database)
        before, mark = len(place.log(0)), len(alice.drain())
        place.start(0)
        refusal = "hop 1 does not sign this directory: it does not continue the one it signed before"
        place.wait_log(0, f"no round can be announced: {refusal}", before)
        wait_connection(alice, WAITING, mark, CloseReason.INCOMPLETE.sentence)
        place.restart(1)  # it has not forgotten
        wait_until(lambda: place.log(1).count(refusal) >= 2, PATIENT)
        rounds = len(place.rounds())

        assert place.stop(0) == 0
        assert len(place.rounds()) == rounds
        shutil.copy(new, database)
        place.start(0)
        place.wait_online(2)
        place.introduce(alice, bob)


def test_nobody_is_cut_off_as_idle_while_there_is_no_round_to_upload_for(tmp_path: Path) -> None:
    """Fixed: whoever had been told to stand by for two minutes was told that its time was up."""
    with running_chain(tmp_path, Shape(hops=2), start=False) as place:
        place.start(1)
        keys = load_or_make_keys(place.data(0), ChainOptions())
        idle = ConnectionSettings(idle_seconds=1)  # five rounds of 0.3 s are longer, and count
        service = Service(keys, Storage("sqlite://"), ServiceSettings(connection=idle))
        service.start(HOST, place.ports[0])
        try:
            alice = place.person("alice")
            alice.wait_for(RoundClosed)
            place.kill(1)
            mark = len(alice.drain())
            wait_until(lambda: count(alice, StandingBy, mark) >= 15, PATIENT)
            place.start(1)
            alice.wait_for(RoundClosed, lambda e: e in alice.log[mark:] and e.clean)
            assert states(alice, mark) == []
        finally:
            place.send_everybody_home()
            service.stop()


def count(person: Person, kind: type[Event], since: int) -> int:
    """How often something has happened to a person after the first ``since`` events."""
    return sum(isinstance(event, kind) for event in person.drain()[since:])
