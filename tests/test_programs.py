"""The programs as people start them: real processes, real signals, real pipes."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import pairwise
from pathlib import Path
from typing import IO, Any

import pytest

from iirs.chain import JoinLink

pytestmark = pytest.mark.slow
ROOT = Path(__file__).parent.parent
PATIENT = 170
"""Seconds that a program is waited for: starting one takes a busy machine long."""
READY = re.compile(r"iirs-server ready: (iirs://127\.0\.0\.1:\d+/#[0-9a-f]{64})\n")
CLIENT = (sys.executable, "-m", "iirs.client.main")
NO_SCREEN = {name: value for name, value in os.environ.items() if name not in {"DISPLAY", "WAYLAND_DISPLAY"}}


@contextmanager
def server(
    *arguments: str, program: tuple[str, ...] = (), log: int | IO[str] = subprocess.PIPE
) -> Iterator[tuple[subprocess.Popen[str], str]]:
    """Run a server on a free port of loopback; give the process and its link."""
    command = program or (sys.executable, "-m", "iirs.server.main")
    process = subprocess.Popen(
        [*command, "--host", "127.0.0.1", "--port", "0", *arguments],
        stdout=subprocess.PIPE,
        stderr=log,
        text=True,
    )
    try:
        assert process.stdout is not None
        ready = READY.fullmatch(process.stdout.readline())
        assert ready, "the server's first line was not its link"
        yield process, ready[1]
    finally:
        if process.poll() is None:
            process.terminate()
        process.wait(PATIENT)


def client(
    link: str,
    folder: Path,
    name: str,
    *arguments: str,
    peer: str,
    action: str,
    program: tuple[str, ...] = CLIENT,
) -> subprocess.Popen[str]:
    """Start a client in a terminal."""
    password = folder / "password"
    password.write_text("correct horse battery\n")
    command = [*program, link, "--terminal", action, "--username", name, "--password-file", str(password)]
    return subprocess.Popen(
        [*command, "--peer", peer, "--data-dir", str(folder / name), *arguments],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        encoding="utf-8",
    )


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_server_says_one_line_when_ready_and_ends_cleanly_on_a_signal(number: signal.Signals) -> None:
    with server("--ephemeral", "--round-seconds", "0.2") as (process, _):
        process.send_signal(number)
        output, status = process.communicate(timeout=PATIENT)
        assert process.returncode == 0
        assert output == ""
        assert "must be trusted not to look" in status
        assert "Traceback" not in status


def test_a_server_from_a_checkout_keeps_its_chain_over_a_restart(tmp_path: Path) -> None:
    program = (sys.executable, str(ROOT / "server.py"))
    arguments = ("--data-dir", str(tmp_path / "data"), "--round-seconds", "0.2")
    with server(*arguments, program=program) as (_, first):
        pass
    with server(*arguments, program=program) as (_, second):
        assert JoinLink.parse(first).fingerprint == JoinLink.parse(second).fingerprint
    refused = subprocess.run(
        [*program, "--data-dir", str(tmp_path / "data"), "--port", "0", "--slots", "5"],
        capture_output=True,
        text=True,
        timeout=PATIENT,
        check=False,
    )
    assert refused.returncode == 2
    assert refused.stderr.startswith("iirs-server: --slots differs from the chain")


def test_a_second_server_on_the_same_data_directory_is_refused(tmp_path: Path) -> None:
    arguments = ("--data-dir", str(tmp_path), "--round-seconds", "0.3")
    with server(*arguments):
        refused = subprocess.run(
            [sys.executable, "-m", "iirs.server.main", "--port", "0", *arguments],
            capture_output=True,
            text=True,
            timeout=PATIENT,
            check=False,
        )
    assert refused.returncode == 2
    assert refused.stderr.startswith("iirs-server: The data directory is in use by another server")
    with server(*arguments):
        pass  # the lock went with the process


def test_a_taken_port_is_refused_with_a_sentence() -> None:
    with server("--ephemeral") as (_, link):
        port = str(JoinLink.parse(link).port)
        refused = subprocess.run(
            [sys.executable, "-m", "iirs.server.main", "--ephemeral", "--host", "127.0.0.1", "--port", port],
            capture_output=True,
            text=True,
            timeout=PATIENT,
            check=False,
        )
    assert refused.returncode == 2
    assert "cannot be listened on" in refused.stderr
    assert "Traceback" not in refused.stderr


def test_two_terminals_hold_a_scripted_conversation_and_end_with_zero(tmp_path: Path) -> None:
    with server("--ephemeral", "--round-seconds", "0.3") as (_, link):
        alice = client(link, tmp_path, "alice", "--linger", "4", peer="bob", action="--register")
        bob = client(link, tmp_path, "bob", "--linger", "4", peer="alice", action="--register")
        alice_input = "hello bob\nGrüße, \N{SNOWMAN}\n" + "long " * 1000 + "\n"
        hello = "hello alice\n"
        waiting = {}
        for process, text in ((alice, alice_input), (bob, hello)):
            assert process.stdin is not None
            process.stdin.write(text)
            process.stdin.close()
            process.stdin = None
        for name, process in (("alice", alice), ("bob", bob)):
            waiting[name] = process.communicate(timeout=PATIENT)
    assert (alice.returncode, bob.returncode) == (0, 0)
    assert waiting["bob"][0].splitlines() == [f"alice> {line}" for line in alice_input.splitlines()]
    assert waiting["alice"][0].splitlines() == ["bob> hello alice"]
    for _, status in waiting.values():
        assert "Connection established successfully" in status


def test_a_terminal_with_nothing_to_say_to_nobody_ends(tmp_path: Path) -> None:
    with server("--ephemeral", "--round-seconds", "0.3") as (_, link):
        alice = client(link, tmp_path, "alice", peer="nobody", action="--register")
        output, status = alice.communicate("", timeout=PATIENT)
    assert alice.returncode == 0
    assert output == ""
    assert "nobody is not registered yet; waiting" in status


def test_texts_typed_before_a_crash_arrive_after_it(tmp_path: Path) -> None:
    """The outbox outlives the process: killed before its peer ever comes, it delivers when both are there."""
    with server("--ephemeral", "--round-seconds", "1") as (_, link):
        bob = client(link, tmp_path, "bob", peer="alice", action="--register")
        alice = client(link, tmp_path, "alice", peer="bob", action="--register")
        assert alice.stdin is not None
        assert alice.stderr is not None
        alice.stdin.write("typed before the crash\n")
        alice.stdin.flush()
        assert any("Connection established" in line for line in alice.stderr)
        bob.kill()
        bob.communicate()
        alice.stdin.write("typed while bob was away\n")
        alice.stdin.flush()
        assert any("nothing from bob" in line for line in alice.stderr)
        alice.kill()
        alice.communicate()
        alice = client(link, tmp_path, "alice", peer="bob", action="--login")
        bob = client(link, tmp_path, "bob", "--linger", "5", peer="alice", action="--login")
        alice_said, alice_status = alice.communicate("and after it\n", timeout=PATIENT)
        bob_heard, _ = bob.communicate("", timeout=PATIENT)
    assert alice.returncode == 0, alice_status
    assert alice_said == ""
    # The first may have been read by the bob who was killed; nothing comes twice.
    expected = ["alice> typed before the crash", "alice> typed while bob was away", "alice> and after it"]
    assert bob_heard.splitlines() in (expected, expected[1:])


def test_on_a_terminal_it_asks_for_everything_as_the_first_version_did(tmp_path: Path) -> None:
    with server("--ephemeral", "--round-seconds", "0.3") as (_, link):
        person, terminal = os.openpty()
        process = subprocess.Popen(
            [*CLIENT, "--terminal", "--data-dir", str(tmp_path)],
            stdin=terminal,
            stdout=terminal,
            stderr=terminal,
            start_new_session=True,
        )
        os.close(terminal)
        answers = [
            ("Join link: ", link),
            ("(r)egister or (l)og in? ", "r"),
            ("Name: ", "alice"),
            ("Password: ", "short"),
            ("Password: ", "correct horse battery"),
            ("Password again: ", "correct horse battery"),
            ("Whom do you want to talk to? ", "bob"),
        ]
        seen = ""
        for question, answer in answers:
            seen = read_until(person, question)
            os.write(person, answer.encode() + b"\n")
        seen = read_until(person, "bob is not registered yet; waiting")
        assert "correct horse battery" not in seen
        os.write(person, b"\x04")
        process.terminate()
        process.wait(PATIENT)
        os.close(person)


def read_until(terminal: int, text: str) -> str:
    """Read a terminal's screen until a text stands on it; the test's own time limit ends a wait in vain."""
    seen = ""
    while text not in seen:
        seen += os.read(terminal, 4096).decode()
    return seen


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["not a link", "--terminal", "--login"], "That is not a join link"),
        (["127.0.0.1:1", "--terminal", "--login", "--username", "../x"], "A name has 1 to 32 characters"),
        (["127.0.0.1:1", "--terminal", "--login", "--username", "alice"], "--password-file is needed"),
        (["127.0.0.1:1", "--terminal"], "--register or --login is needed"),
    ],
)
def test_a_client_that_cannot_start_says_why(arguments: list[str], sentence: str, tmp_path: Path) -> None:
    result = subprocess.run(
        [*CLIENT, *arguments, "--data-dir", str(tmp_path)],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=PATIENT,
        check=False,
    )
    assert result.returncode in {1, 2}
    assert result.stderr.startswith(f"iirs-client: {sentence}")
    assert "Traceback" not in result.stderr


def test_a_wrong_password_and_a_taken_name_are_said_in_words(tmp_path: Path) -> None:
    with server("--ephemeral", "--round-seconds", "0.3") as (_, link):
        first = client(link, tmp_path, "alice", peer="bob", action="--register")
        assert first.stderr is not None
        assert any("online" in line for line in first.stderr)
        first.kill()
        first.communicate()
        second = client(link, tmp_path, "alice", peer="bob", action="--register")
        assert "That name is taken" in second.communicate(timeout=PATIENT)[1]
        wrong = tmp_path / "other"
        wrong.mkdir()
        third = client(link, wrong, "alice", peer="bob", action="--login")
        third.kill()
        third.communicate()
        (wrong / "password").write_text("battery horse correct\n")
        command = [*CLIENT, link, "--terminal", "--login", "--username", "alice", "--peer", "bob"]
        fourth = subprocess.run(
            [*command, "--password-file", str(wrong / "password"), "--data-dir", str(wrong)],
            capture_output=True,
            text=True,
            timeout=PATIENT,
            check=False,
            stdin=subprocess.DEVNULL,
        )
        assert fourth.returncode == 1
        assert fourth.stderr == "iirs-client: The password is wrong.\n"


def test_without_a_screen_the_window_says_what_to_use_instead() -> None:
    result = subprocess.run(
        CLIENT, env=NO_SCREEN, capture_output=True, text=True, timeout=PATIENT, check=False
    )
    assert result.returncode == 2
    assert result.stderr.count("\n") == 1
    assert "--terminal" in result.stderr


@pytest.mark.parametrize("hops", [1, 3])
def test_the_demo_delivers_everything_in_one_size_for_each_kind_of_round(hops: int) -> None:
    result = subprocess.run(
        [sys.executable, "-m", "iirs.demo.main", "--json", "--round-seconds", "1", "--hops", str(hops)],
        env=NO_SCREEN,
        capture_output=True,
        text=True,
        timeout=PATIENT,
        check=False,
    )
    assert result.returncode == 0, result.stderr
    report = json.loads(result.stdout)
    assert report["messages_sent"] == report["messages_delivered"] == len(report["latency_s"]) == 6
    assert report["rounds"] > 10
    for table in (report["upload_sizes"], report["download_sizes"]):
        check_sizes(table, KINDS_ALONE if hops == 1 else KINDS)
    check_views(report["hops"], report["hop_views"])
    assert report["hops"] == hops


KINDS = {"plain", "invitations", "setup"}
KINDS_ALONE = {"setup", "invitations, setup"}
"""With one server every round sets circuits up."""


def check_sizes(table: dict[str, list[int]], kinds: set[str]) -> None:
    """One size for each kind of round; two together are a round that a busy machine was late for."""
    assert kinds <= set(table)
    known = [min(sizes) for kind, sizes in table.items() if kind != "unexpected"]
    together = {one + other for one in known for other in known}
    assert {size for sizes in table.values() for size in sizes} <= {*known, *together}


@pytest.mark.parametrize(
    "change", [{"plain": [10, 11]}, {"unexpected": [29]}, {"setup": [50, 51]}, {"invitations": []}]
)
def test_sizes_that_are_not_one_for_each_kind_are_caught(change: dict[str, list[int]]) -> None:
    good = {"plain": [10], "invitations": [20], "setup": [50], "unexpected": [30]}
    check_sizes(good, KINDS)
    changed = {kind: sizes for kind, sizes in {**good, **change}.items() if sizes}
    with pytest.raises(AssertionError):
        check_sizes(changed, KINDS)


def check_views(hops: int, views: list[dict[str, Any]]) -> None:
    """Each hop saw what the hops before it passed on, and only the last one saw dead drops."""
    assert [view["hop"] for view in views] == list(range(hops))
    for before, after in pairwise(views):
        passed_on = before["cells_arrived"] + before["noise_added"]
        assert abs(after["cells_arrived"] - passed_on) <= passed_on / after["rounds"] * 3  # rounds under way
    for view in views:
        if hops == 1:
            assert view["setups"] == view["rounds"]
        else:
            assert 1 < view["setups"] < view["rounds"] / 3
    assert all(view["noise_added"] > 0 for view in views[:-1])
    assert views[-1]["noise_added"] == 0
    assert ["drops_by_accesses" in view for view in views] == [False] * (hops - 1) + [True]
    accesses = views[-1]["drops_by_accesses"]
    assert set(accesses) <= {"1", "2"}
    if hops > 1:
        assert accesses.get("1", 0) > 0, "noise has singles"
    else:  # no noise: only a busy machine, late with one of two uploads, leaves singles
        assert accesses.get("1", 0) < accesses["2"] / 4


@pytest.mark.parametrize(
    "change",
    [
        lambda views: views.pop(),
        lambda views: views[1].update(noise_added=0),
        lambda views: views[1].update(cells_arrived=1),
        lambda views: views[0].update(setups=30),
        lambda views: views[2].update(setups=0),
        lambda views: views[2].update(drops_by_accesses={"1": 1, "2": 1, "3": 1}),
        lambda views: views[2].update(drops_by_accesses={"2": 1}),
        lambda views: views[0].update(drops_by_accesses={}),
    ],
)
def test_views_that_do_not_fit_together_are_caught(change: Callable[[list[dict[str, Any]]], object]) -> None:
    views: list[dict[str, Any]] = [
        {"hop": 0, "setups": 4, "rounds": 30, "cells_arrived": 240, "noise_added": 1200},
        {"hop": 1, "setups": 4, "rounds": 30, "cells_arrived": 1440, "noise_added": 1200},
        {"hop": 2, "setups": 4, "rounds": 30, "cells_arrived": 2640, "noise_added": 0},
    ]
    views[2]["drops_by_accesses"] = {"1": 1200, "2": 720}
    check_views(3, views)
    change(views)
    with pytest.raises(AssertionError):
        check_views(3, views)


def test_singles_in_every_round_of_a_chain_of_one_are_caught() -> None:
    view: dict[str, Any] = {"hop": 0, "setups": 30, "rounds": 30, "cells_arrived": 240, "noise_added": 0}
    check_views(1, [{**view, "drops_by_accesses": {"1": 4, "2": 116}}])
    with pytest.raises(AssertionError):
        check_views(1, [{**view, "drops_by_accesses": {"1": 60, "2": 90}}])


@pytest.mark.parametrize("hops", ["0", "9", "-1"])
def test_the_demo_refuses_a_chain_that_cannot_be(hops: str) -> None:
    command = [sys.executable, "-m", "iirs.demo.main", "--json", "--hops", hops]
    result = subprocess.run(
        command, env=NO_SCREEN, capture_output=True, text=True, timeout=PATIENT, check=False
    )
    assert result.returncode == 1
    assert result.stderr == "iirs-demo: --hops must be 1 to 8.\n"


def test_the_demo_without_windows_tells_each_round_as_the_network_saw_it() -> None:
    result = subprocess.run(
        [sys.executable, "-m", "iirs.demo.main", "--round-seconds", "1"],
        env=NO_SCREEN,
        capture_output=True,
        text=True,
        timeout=PATIENT,
        check=False,
        encoding="utf-8",
    )
    assert result.returncode == 0, result.stderr
    assert "6 of 6 texts delivered" in result.stdout
    assert re.search(r"round +1  alice \d+↑ \d+↓  bob \d+↑ \d+↓  \[.*new prekey.*\]", result.stdout)
    assert re.search(r"round +\d+  alice (\d+)↑ (\d+)↓  bob \1↑ \2↓  \[setup\]", result.stdout)
    assert "alice types: Hello bob" in result.stdout
    assert "bob reads: Hello bob" in result.stdout
