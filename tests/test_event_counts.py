"""What strangers do often is logged as counts, now and then, and without names."""

from __future__ import annotations

import errno
import logging
import os
import socket
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import cast

import pytest

import iirs.server.accounts.registry
from iirs.client.account.entry_calls import login
from iirs.errors import AccountError, PeerError
from iirs.server.connectionThread import ConnectionThread
from iirs.server.event_counts import Counted, EventCounts
from iirs.server.net.listener import Listener
from iirs.server.net.lobby import Lobby, LobbySettings
from iirs.server.settings import ServiceSettings
from iirs.wire.accounts import Errand, ErrandKind
from iirs.wire.limits import CloseReason
from iirs.wire.rounds import NoticeFlags
from tests.harness import PASSWORD, town, wait_until
from tests.raw import dial, dial_tls, logged_in

SMALL = replace(ServiceSettings(), max_connections=2, failed_logins_burst=2, failed_logins_per_second=0.0)


def test_counts_are_told_once_in_a_while_and_only_what_is_new(caplog: pytest.LogCaptureFixture) -> None:
    now = 1000.0
    counts = EventCounts(60.0, lambda: now)
    counts.tell()
    assert caplog.messages == []
    for _ in range(500):
        counts.count(Counted.WRONG_GUESS)
        counts.tell()
    assert caplog.messages == ["since this was said last: wrong passwords: 1"]
    now += 59
    counts.tell()
    assert len(caplog.messages) == 1
    counts.count(Counted.LATE, 0)
    counts.count(Counted.FULL, 7)
    now += 1
    counts.tell()
    counts.tell()
    assert caplog.messages[1:] == [
        "since this was said last: wrong passwords: 499, connections refused because the server is full: 7"
    ]
    now += 3600
    counts.count(Counted.LATE, 0)
    counts.tell()
    assert len(caplog.messages) == 2


def test_a_crowd_of_guesses_and_strangers_is_one_line_without_names(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    with town(tmp_path, settings=SMALL) as place:
        accounts = [place.register(name) for name in ("alice", "bob", "carol")]
        for _ in range(5):
            with pytest.raises(AccountError):
                login(place.link, place.home("mallory"), "alice", PASSWORD + "?")
        end = dial_tls(place.port)
        with end:
            end.say(bytes(64))
            assert end.ending() is CloseReason.PROTOCOL
        sessions = [logged_in(place.port, account) for account in accounts[1:]]
        for _ in range(4):
            with pytest.raises((PeerError, OSError)), dial(place.port) as refused:
                refused.handshake()
        for session in sessions:
            session.end.__exit__()
        caplog.clear()
        for _ in range(20):
            place.service.tidy()
        assert caplog.messages == [
            "since this was said last: wrong passwords: 2, "
            "logins refused after too many wrong passwords: 3, "
            "connections refused because the server is full: 4, "
            "connections closed because they broke the protocol: 1"
        ]
        assert "alice" not in caplog.text
        assert "127.0.0.1" not in caplog.text


def test_what_is_asked_too_often_or_in_vain_is_counted_too(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Fixed: names that nobody has, a full directory and new passwords without end were in no count."""
    few = replace(SMALL, registrations_burst=4, registrations_per_second=0.0, password_changes_burst=1)
    with town(tmp_path, paced=False, settings=few) as place:
        service = place.service
        place.register("alice")
        place.register("bob")
        with pytest.raises(AccountError):
            place.register("bob")
        monkeypatch.setattr(iirs.server.accounts.registry, "MAX_ENTRIES", 2)
        with pytest.raises(AccountError):
            place.register("carol")
        monkeypatch.undo()
        place.register("carol")
        for _ in range(2):
            with pytest.raises(AccountError):
                place.register("dave")
        for name in ("dave", "erin", "frank"):
            with pytest.raises(AccountError):
                login(place.link, place.home("mallory"), name, PASSWORD)
        session = cast(ConnectionThread, SimpleNamespace(position=0))
        done = [
            service.do_errand(session, Errand(ErrandKind.NEW_PASSWORD, os.urandom(32), bytes(60)))
            for _ in range(3)
        ]
        assert done == [NoticeFlags.ERRAND_DONE, NoticeFlags.NONE, NoticeFlags.NONE]
        service.tidy()
        assert caplog.messages == [
            "since this was said last: logins under names that nobody has: 3, "
            "registrations refused as too many: 2, "
            "registrations refused because the directory is full: 1, "
            "new passwords put off as too many for one account: 2"
        ]


def test_a_lack_of_descriptors_is_counted_and_passes() -> None:
    failures: list[None] = []
    arrived: list[socket.socket] = []
    listener = Listener("127.0.0.1", 0, backlog=5, advice="")
    accept = listener.accept

    def exhausted() -> tuple[socket.socket, str] | None:
        if len(failures) < 3:
            raise OSError(errno.EMFILE, "too many open files")
        return accept()

    def refuse(sock: socket.socket, _: str) -> None:
        arrived.append(sock)

    listener.accept = exhausted  # type: ignore[method-assign]
    lobby = Lobby(
        listener,
        refuse,
        LobbySettings(),
        refused=lambda: None,
        cannot_accept=lambda: failures.append(None),
    )
    lobby.start()
    with socket.create_connection(("127.0.0.1", listener.port), 5):
        wait_until(lambda: bool(arrived))
    lobby.stop()
    lobby.join(60)
    assert not lobby.is_alive()
    assert len(failures) == 3
