"""Ctrl-C and SIGTERM, at any moment of a program's life: the right exit code, and no traceback."""

from __future__ import annotations

import signal
import subprocess
import sys
from pathlib import Path

import pytest

from iirs.server.hops import setup_main as chain_main
from tests.harness import wait_until
from tests.test_programs import CLIENT, NO_SCREEN, client, server


def start_and_interrupt(link: str, folder: Path, *program: str) -> tuple[int, str]:
    """Press Ctrl-C when a client waits for its peer; return how it ended, and what it said meanwhile."""
    alice = client(link, folder, "alice", peer="bob", action="--register", program=program or CLIENT)
    assert alice.stderr is not None
    assert any("bob is not registered yet" in line for line in alice.stderr)
    alice.send_signal(signal.SIGINT)
    _, status = alice.communicate(timeout=60)
    return alice.returncode, status


IN_THE_BACKGROUND = ("sh", "-c", 'trap "" INT; exec "$@"', "sh")
"""Starts a program as a script does with ``&``: it inherits that SIGINT is ignored."""


@pytest.mark.parametrize("before", [(), IN_THE_BACKGROUND], ids=["foreground", "background"])
def test_ctrl_c_in_a_terminal_leaves_as_everybody_does(before: tuple[str, ...], tmp_path: Path) -> None:
    with server("--ephemeral", "--round-seconds", "0.3") as (_, link):
        code, status = start_and_interrupt(link, tmp_path, *before, *CLIENT)
    assert code == 130
    assert "leaving: everybody who leaves stays for up to 7 more rounds" in status
    assert "Traceback" not in status


def test_a_terminal_in_the_background_that_leaves_sigint_alone_ends_as_if_all_were_said(
    tmp_path: Path,
) -> None:
    deaf = "import signal, sys; signal.signal = lambda *_: None; from iirs.client.main import main; main()"
    with server("--ephemeral", "--round-seconds", "0.3") as (_, link):
        code, _ = start_and_interrupt(link, tmp_path, *IN_THE_BACKGROUND, sys.executable, "-c", deaf)
    assert code == 0


def test_ctrl_c_while_leaving_leaves_at_once(tmp_path: Path) -> None:
    with server("--ephemeral", "--round-seconds", "0.3") as (entry, link):
        alice = client(link, tmp_path, "alice", peer="bob", action="--register")
        assert alice.stderr is not None
        assert any("bob is not registered yet" in line for line in alice.stderr)
        entry.send_signal(signal.SIGSTOP)  # whoever waits for rounds now waits for ever
        try:
            alice.send_signal(signal.SIGINT)
            assert any("leaving" in line for line in alice.stderr)
            alice.send_signal(signal.SIGINT)
            _, status = alice.communicate(timeout=60)
        finally:
            alice.kill()
            entry.send_signal(signal.SIGCONT)
    assert alice.returncode == 130
    assert status == ""


AT_A_CALL = """
import importlib, os, sys
program, number, moment, preparation = sys.argv[1], int(sys.argv[2]), int(sys.argv[3]), sys.argv[4]
main = importlib.import_module(program).main
sys.argv[1:] = sys.argv[5:]
exec(preparation)
calls = 0
def count(frame, event, argument):
    global calls
    calls += event == "call"
    if calls == moment:
        sys.setprofile(None)
        os.kill(os.getpid(), number)
sys.setprofile(count)
sys.exit(main())
"""
"""Runs a program's ``main``, which gets a signal at its n-th call of a function: always the same place."""


def signalled(
    module: str, number: signal.Signals, moment: int, *arguments: str, preparation: str = ""
) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-c", AT_A_CALL, module, str(int(number)), str(moment), preparation]
    return subprocess.run(
        [*command, *arguments],
        stdin=subprocess.DEVNULL,
        env=NO_SCREEN,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


@pytest.mark.parametrize("moment", [2, 20, 200, 1000])
def test_ctrl_c_while_a_client_starts_ends_it_without_a_word(moment: int, tmp_path: Path) -> None:
    arguments = ["127.0.0.1:1", "--terminal", "--login", "--username", "alice", "--peer", "bob"]
    (tmp_path / "password").write_text("correct horse battery\n")
    arguments += ["--password-file", str(tmp_path / "password"), "--data-dir", str(tmp_path)]
    ended = signalled("iirs.client.main", signal.SIGINT, moment, *arguments)
    assert (ended.returncode, ended.stderr) == (130, "")


EPHEMERAL = ("--ephemeral", "--host", "127.0.0.1", "--port", "0", "--round-seconds", "0.3")
AFTER_THE_HANDLERS = 20
"""Calls after which a server's ``main`` has put its handlers in place: the first thing it does."""


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
@pytest.mark.parametrize("moment", [AFTER_THE_HANDLERS, 200, 2000, 6000])
def test_a_signal_while_a_server_starts_ends_it_cleanly(moment: int, number: signal.Signals) -> None:
    ended = signalled("iirs.server.main", number, moment, *EPHEMERAL)
    assert ended.returncode == 0
    assert "Traceback" not in ended.stderr


def test_a_server_without_handlers_in_place_does_not_end_cleanly() -> None:
    without = "import iirs.server.stop_signal as late; late.StopSignal.__init__ = lambda self: None"
    ended = signalled("iirs.server.main", signal.SIGTERM, 200, *EPHEMERAL, preparation=without)
    assert ended.returncode == -signal.SIGTERM


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
@pytest.mark.parametrize("moment", [AFTER_THE_HANDLERS, 200, 1000])
def test_a_signal_while_a_hop_starts_ends_it_cleanly(
    moment: int, number: signal.Signals, tmp_path: Path
) -> None:
    folder = make_hops(tmp_path)
    ended = signalled("iirs.server.hops.main", number, moment, "--data-dir", str(folder), "--port", "0")
    assert ended.returncode == 0
    assert "Traceback" not in ended.stderr


def make_hops(folder: Path) -> Path:
    """Make a chain of two; return the last hop's data directory."""
    noise = ("--noise-mu", "2", "--noise-b", "1", "--force")
    assert chain_main.main(["init", str(folder / "chain"), *noise, "--hops", "2"]) == 0
    return folder / "chain" / "hop1"


@pytest.mark.parametrize("moment", [2, 2000])
@pytest.mark.parametrize(
    ("module", "arguments"),
    [
        ("iirs.server.hops.setup_main", ("init", "chain")),
        ("iirs.meter.main", ("--mu", "10000", "--b", "482")),
        ("iirs.demo.main", ("--json",)),
    ],
)
def test_ctrl_c_ends_the_other_programs_without_a_traceback(
    module: str, arguments: tuple[str, ...], moment: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    ended = signalled(module, signal.SIGINT, moment, *arguments)
    assert (ended.returncode, ended.stderr) == (130, "")


@pytest.mark.parametrize(
    ("number", "code"),
    [(signal.SIGINT, 130), (signal.SIGTERM, 143), (signal.SIGHUP, 129), (signal.SIGKILL, -9)],
)
def test_a_demo_that_is_ended_leaves_nothing_behind(
    number: signal.Signals, code: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    demo = subprocess.Popen(
        [sys.executable, "-m", "iirs.demo.main", "--headless", "--round-seconds", "0.5"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        encoding="utf-8",
        start_new_session=True,
    )
    assert demo.stdout is not None
    assert any("register" in line for line in demo.stdout)
    assert len(group_of(demo.pid)) > 2, "a server and two clients besides the demo"
    assert list(tmp_path.rglob("*password*"))
    demo.send_signal(number)
    _, status = demo.communicate(timeout=60)
    assert (demo.returncode, status) == (code, "")
    wait_until(lambda: group_of(demo.pid) == [] and list(tmp_path.iterdir()) == [])


def group_of(leader: int) -> list[int]:
    """Return the processes in a process group, those that are only waited for left out."""
    listed = subprocess.run(["ps", "-eo", "pid=,pgid=,stat="], capture_output=True, text=True, check=True)
    rows = [line.split() for line in listed.stdout.splitlines()]
    return [int(pid) for pid, group, state in rows if int(group) == leader and state[0] != "Z"]
