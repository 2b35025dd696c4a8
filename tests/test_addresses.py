"""What a server says when it is asked where people reach it, and where it may keep its files."""

from __future__ import annotations

import ipaddress
import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from iirs.chain import JoinLink
from iirs.errors import ConfigError
from iirs.server.main import build_service, parse_arguments
from iirs.server.net import addresses
from iirs.server.net.addresses import is_loopback, reachable
from iirs.server.net.listener import Listener
from iirs.server.settings import ServiceSettings

LAN = ["127.0.0.1", "192.168.7.20", "10.0.0.3"]


@pytest.fixture
def lan_without_default_route(monkeypatch: pytest.MonkeyPatch) -> None:
    six = ["::1", "fe80::1", "fd00::7"]
    monkeypatch.setattr(addresses, "own_addresses", lambda family: LAN if family == socket.AF_INET else six)
    monkeypatch.setattr(addresses, "_with_default_route", lambda family: [])


@pytest.mark.usefixtures("lan_without_default_route")
@pytest.mark.parametrize(
    ("host", "bound", "expected"),
    [
        ("0.0.0.0", "0.0.0.0", LAN[1:]),  # noqa: S104  # compared, not bound
        ("", "0.0.0.0", LAN[1:]),  # noqa: S104
        ("0", "0.0.0.0", LAN[1:]),  # noqa: S104
        ("::", "::", ["fd00::7"]),
        ("0::0", "::", ["fd00::7"]),
        ("127.0.0.1", "127.0.0.1", ["127.0.0.1"]),
        ("127.1", "127.0.0.1", ["127.0.0.1"]),
        ("::1", "::1", ["::1"]),
        ("192.168.7.20", "192.168.7.20", ["192.168.7.20"]),
        ("chat.example", "192.168.7.20", ["chat.example"]),
    ],
)
def test_the_link_names_what_clients_can_reach(host: str, bound: str, expected: list[str]) -> None:
    assert reachable(host, bound) == expected


@pytest.mark.parametrize("bound", ["fe80::1%eth0", "fe80::1", "224.0.0.1", "ff02::1", "255.255.255.255"])
def test_an_address_that_no_link_leads_to_is_refused(bound: str) -> None:
    """Fixed: the server said that it was ready, and named it."""
    for host in (bound, "chat.example"):
        with pytest.raises(ConfigError, match="Nobody can connect"):
            reachable(host, bound)


@pytest.mark.parametrize("host", ["fe80::1%eth0", "[fe80::1%eth0]"])
def test_the_interface_of_an_address_is_listened_on(host: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Fixed: an address with one was said not to be this machine's."""
    asked: list[object] = []

    def create_server(address: object, **_: object) -> socket.socket:
        asked.append(address)
        return socket.socket()

    whole = ("fe80::1%eth0", 7, 0, 3)
    found = [(socket.AF_INET6, socket.SOCK_STREAM, 6, "", whole)]
    monkeypatch.setattr(socket, "getaddrinfo", lambda name, *_: found if name == whole[0] else [])
    monkeypatch.setattr(socket, "create_server", create_server)
    Listener(host, 7, backlog=5, advice="").close()
    assert asked == [whole]


@pytest.mark.usefixtures("lan_without_default_route")
def test_the_address_with_the_default_route_comes_first_and_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(addresses, "_with_default_route", lambda family: ["10.0.0.3"])
    assert reachable("0.0.0.0", "0.0.0.0") == ["10.0.0.3", "192.168.7.20"]  # noqa: S104


def test_without_any_address_the_loopback_is_named_and_known_to_be_one(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(addresses, "own_addresses", lambda family: [])
    monkeypatch.setattr(addresses, "_with_default_route", lambda family: [])
    for everywhere, alone in (("0.0.0.0", "127.0.0.1"), ("::", "::1")):  # noqa: S104
        assert reachable(everywhere, everywhere) == [alone]
        assert is_loopback(alone)
    assert is_loopback("localhost")
    assert is_loopback("127.0.1.1")
    assert not is_loopback("0.0.0.0")  # noqa: S104  # compared, not bound
    assert not is_loopback("192.168.7.20")
    assert not is_loopback("chat.example")


def _hosts() -> list[str]:
    hosts = ["0.0.0.0", "", "127.0.0.1", "localhost"]  # noqa: S104
    try:
        socket.create_server(("::1", 0), family=socket.AF_INET6).close()
    except OSError:  # a machine without IPv6
        return hosts
    return [*hosts, "::", "::1", "[::1]"]


@pytest.mark.parametrize("host", _hosts())
def test_every_address_that_is_named_is_answered_at(host: str) -> None:
    listener = Listener(host, 0, backlog=5, advice="")
    try:
        for named in reachable(host.strip("[]"), listener.address):
            link = JoinLink.parse(str(JoinLink(named, listener.port, bytes(32))))
            socket.create_connection((link.host, link.port), 5).close()
    finally:
        listener.close()


def test_this_machine_is_asked_for_real() -> None:
    for family in (socket.AF_INET, socket.AF_INET6):
        for text in addresses.own_addresses(family):
            assert ipaddress.ip_address(text.partition("%")[0])
    assert "127.0.0.1" in addresses.own_addresses(socket.AF_INET)


def test_a_host_that_nobody_knows_is_refused_with_a_sentence() -> None:
    for host in ("no-such-host.invalid", "x" * 300, "192.0.2.77", "1.2.3"):
        with pytest.raises(ConfigError, match="cannot be listened on"):
            Listener(host, 0, backlog=5, advice="")


# -- files ----------------------------------------------------------------------------------------------

linux = pytest.mark.skipif(sys.platform != "linux", reason="how other systems hold users and files")
ODD = ["what?now", "half # whole", "100%41", "a b", "file:x", "ünï", "'\"", "line\nbreak", b"\xff\xfe.raw"]


@pytest.mark.parametrize("name", ODD)
def test_a_data_directory_may_have_any_name(name: str | bytes, tmp_path: Path) -> None:
    folder = tmp_path / os.fsdecode(name)
    chains = set()
    for _ in range(2):
        service = build_service(parse_arguments(["--data-dir", str(folder)]), ServiceSettings())
        service.start("127.0.0.1", 0, paced=False)
        service.stop()
        chains.add(service.chain.chain_id)
    assert len(chains) == 1
    assert (folder / "server.sqlite").stat().st_size > 0
    assert [item.name for item in tmp_path.iterdir()] == [folder.name]


PROGRAMS = {
    "iirs-server": ["iirs.server.main", "--port", "0"],
    "iirs-mix": ["iirs.server.hops.main"],
    "iirs-client": ["iirs.client.main", "iirs://127.0.0.1:9/", "--terminal", "--login"],
}


@linux
@pytest.mark.parametrize("home", [None, "", "relative"])
@pytest.mark.parametrize("program", PROGRAMS)
def test_without_a_home_and_a_known_user_there_is_a_sentence(
    program: str, home: str | None, tmp_path: Path
) -> None:
    _without_users(tmp_path)
    environment = {"PATH": os.environ["PATH"], "PYTHONPATH": os.pathsep.join([str(tmp_path), *sys.path])}
    if home is not None:
        environment["HOME"] = home
    refused = _run(program, environment, tmp_path)
    assert (refused.returncode, refused.stdout) == (2, "")
    assert refused.stderr.startswith(f"{program}: There is no home directory")
    assert "Traceback" not in refused.stderr
    assert sorted(item.name for item in tmp_path.iterdir() if item.name != "__pycache__") == [
        "sitecustomize.py"
    ]


@linux
@pytest.mark.parametrize("program", ["iirs-server", "iirs-mix"])
def test_a_folder_that_cannot_be_written_is_a_sentence(program: str, tmp_path: Path) -> None:
    refused = _run(program, {**os.environ, "XDG_DATA_HOME": "/proc/nothing"}, tmp_path)
    assert refused.returncode == 2
    assert refused.stderr.startswith(f"{program}: The data directory is in use by another server, or cannot")


@linux
def test_without_a_folder_for_passing_files_there_is_a_sentence(tmp_path: Path) -> None:
    (tmp_path / "sitecustomize.py").write_text(
        "import tempfile\ntempfile._candidate_tempdir_list = lambda: []\n"
    )
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(tmp_path), *sys.path])}
    command = [sys.executable, "-m", "iirs.server.main", "--ephemeral", "--port", "0"]
    refused = subprocess.run(
        command, capture_output=True, text=True, timeout=30, check=False, env=environment, cwd=tmp_path
    )
    assert refused.returncode == 2
    assert "Traceback" not in refused.stderr
    assert refused.stderr.startswith("iirs-server: No usable temporary directory")


def _without_users(folder: Path) -> None:
    (folder / "sitecustomize.py").write_text(
        "import pwd\ndef _nobody(_):\n    raise KeyError\npwd.getpwuid = _nobody\n"
    )


def _run(program: str, environment: dict[str, str], folder: Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", *PROGRAMS[program]]
    return subprocess.run(
        command,
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
        env=environment,
        cwd=folder,
        stdin=subprocess.DEVNULL,
    )


@pytest.mark.parametrize("host", ["224.0.0.1", "255.255.255.255", "fe80::1%lo"])
def test_a_server_that_nobody_could_reach_does_not_start(host: str) -> None:
    command = [sys.executable, "-m", "iirs.server.main", "--host", host, "--port", "0", "--ephemeral"]
    ended = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
    assert ended.returncode == 2
    assert "ready" not in ended.stdout
    assert ended.stderr.count("\n") == 1
