"""``Lobby``: all who have connected and not been let in yet, in one thread; of clients and of links alike.

Nobody in here costs a thread. How many there may be is bounded in all and for each address, and so is the
time of each as a whole. What the lobby does costs CPU that rounds need too: it rests after it has worked, and
when many want something, each address has its turn.
"""

from __future__ import annotations

import contextlib
import logging
import selectors
import socket
import threading
import time
import traceback
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum
from typing import Protocol

from iirs.server.net.listener import Listener
from iirs.server.net.shares import Shares, share_of

_log = logging.getLogger("iirs.server")
_ACCEPTED_AT_ONCE = 256
_TURN_SECONDS = 0.01
"""CPU after which others have their turn: those who still want something are asked again."""
_REST = 1.0
"""Seconds of rest for each second of CPU."""
_SWEEP_SECONDS = 0.1
_FAREWELL_SECONDS = 1.0
_CHUNK = 65536


class Wants(Enum):
    """What a visitor waits for."""

    BYTES = "bytes"
    """Something to read."""
    ROOM = "room"
    """Its socket to take more."""
    TIME = "time"
    """To be asked again now and then: somebody else is at work."""
    FAREWELL = "farewell"
    """Nothing: it has been told why, and is closed when it has read that."""
    ENTRY = "entry"
    """To be let in: ``enter`` is called, and takes its socket away."""
    CLOSE = "close"
    """Nothing any more."""


class Visitor(Protocol):
    """One connection from its first byte until it is let in. Only the lobby's thread asks it anything."""

    @property
    def is_proven(self) -> bool:
        """Whether the handshake is done."""
        ...

    def go_on(self) -> Wants:
        """Do what can be done without waiting; never raises."""
        ...

    def time_is_up(self) -> Wants:
        """Say so to the other end, if it can be told; never raises."""
        ...

    def enter(self) -> None:
        """Hand the connection on; the lobby knows nothing of it any more."""
        ...

    def close(self) -> None:
        """Let go of the socket."""
        ...


@dataclass(frozen=True, slots=True)
class LobbySettings:
    """Bounds on those who have not been let in."""

    total: int = 1024
    per_address: int = 256
    """The classroom behind one address is 200 people; an IPv6 address counts as its /64."""
    grace_seconds: float = 3.0
    """So long nobody is closed for a newcomer of an address that has as many."""
    handshake_seconds: float = 10.0
    visit_seconds: float = 20.0
    """From the first byte to being let in, handshake included."""


@dataclass(eq=False, slots=True)
class _Visit:
    """A visitor's place in the lobby."""

    sock: socket.socket
    fd: int
    share: str
    visitor: Visitor
    handshake_until: float
    until: float
    wants: Wants = Wants.BYTES


class Lobby(threading.Thread):
    """Owns the listening socket and all who wait. ``start``, then ``stop``.

    ``receive`` makes a visitor of a socket that does not block, and the share it counts for; ``None`` if it
    is to be refused at once. ``refused`` is called for each connection that finds no room or loses its place,
    ``cannot_accept`` each time that none can be taken, for want of descriptors.
    """

    def __init__(
        self,
        listener: Listener,
        receive: Callable[[socket.socket, str], Visitor | None],
        settings: LobbySettings,
        *,
        refused: Callable[[], None],
        cannot_accept: Callable[[], None],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        super().__init__(name="iirs-lobby", daemon=True)
        self._listener = listener
        self._receive = receive
        self._settings = settings
        self._refused = refused
        self._cannot_accept = cannot_accept
        self._clock = clock
        self._selector = selectors.DefaultSelector()
        self._wake_out, self._wake_in = socket.socketpair()
        self._wake_out.setblocking(False)
        self._wake_in.setblocking(False)
        self._shares: Shares[_Visit] = Shares(settings.total, settings.per_address, settings.grace_seconds)
        self._visits: set[_Visit] = set()
        self._last_turn: dict[str, int] = {}
        self._turn = 0
        self._sweep_at = 0.0
        self._accept_from = 0.0
        self._stopping = threading.Event()
        self._told: set[str] = set()
        """Errors nobody has thought of, as they were logged."""

    # -- called from any thread -------------------------------------------------------------------

    def ask_again(self) -> None:
        """Have visitors who wait for somebody else asked at once: that somebody has finished."""
        self._sweep_at = 0.0
        self._wake()

    def stop(self) -> None:
        """Stop accepting, and close whoever waits."""
        self._stopping.set()
        self._wake()

    def _wake(self) -> None:
        with contextlib.suppress(OSError):  # full means it will wake anyway; closed means it has ended
            self._wake_in.send(b"x")

    # -- this thread ------------------------------------------------------------------------------

    def run(self) -> None:
        """Let in whoever may come in, until stopped."""
        self._selector.register(self._wake_out, selectors.EVENT_READ)
        self._selector.register(self._listener.socket, selectors.EVENT_READ)
        try:
            while not self._stopping.is_set():
                events = self._selector.select(_SWEEP_SECONDS)
                began = time.thread_time()
                self._take_turn(events, began)
                # However many want something: the rounds go on, and whoever waits waits a little longer.
                self._stopping.wait((time.thread_time() - began) * _REST)
        finally:
            self._listener.close()
            for visit in list(self._visits):
                self._close(visit)
            self._selector.close()
            self._wake_in.close()
            self._wake_out.close()

    def _take_turn(self, events: list[tuple[selectors.SelectorKey, int]], began: float) -> None:
        ready: list[_Visit] = []
        for key, _ in events:
            if isinstance(key.data, _Visit):
                ready.append(key.data)
            elif key.fileobj is self._wake_out:
                self._wake_out.recv(4096)
            else:
                self._accept()
        for visit in self._fairly(ready):
            if visit in self._visits:  # a newcomer may have got its place
                self._go_on(visit)
                if time.thread_time() - began > _TURN_SECONDS:
                    break
        now = self._clock()
        if now >= self._sweep_at:
            self._sweep_at = now + _SWEEP_SECONDS
            self._sweep(now)

    def _fairly(self, ready: list[_Visit]) -> list[_Visit]:
        """Return who is ready in the order of their turns: each address one after the other."""
        self._turn += 1
        counted: Counter[str] = Counter()
        ranked: list[tuple[int, int, int]] = []
        for index, visit in enumerate(ready):
            ranked.append((counted[visit.share], self._last_turn.get(visit.share, 0), index))
            counted[visit.share] += 1
        ranked.sort()
        return [ready[index] for _, _, index in ranked]

    def _accept(self) -> None:
        now = self._clock()
        for _ in range(_ACCEPTED_AT_ONCE):
            try:
                accepted = self._listener.accept()
            except OSError:  # out of file descriptors, most likely: let some go
                self._cannot_accept()
                self._accept_from = now + _SWEEP_SECONDS
                self._selector.unregister(self._listener.socket)
                return
            if accepted is None:
                return
            self._welcome(*accepted, now)

    def _welcome(self, sock: socket.socket, address: str, now: float) -> None:
        share = share_of(address)
        leaving = self._shares.room_for(share, now)
        if leaving is None:
            self._refused()
            sock.close()
            return
        for visit in leaving:
            self._refused()
            self._close(visit)
        visitor = self._receive(sock, share)
        if visitor is None:
            sock.close()
            return
        settings = self._settings
        handshake_until, until = now + settings.handshake_seconds, now + settings.visit_seconds
        visit = _Visit(sock, sock.fileno(), share, visitor, handshake_until, until)
        self._shares.enter(visit, share, now)
        self._visits.add(visit)
        self._selector.register(visit.fd, selectors.EVENT_READ, visit)

    def _go_on(self, visit: _Visit) -> None:
        self._last_turn[visit.share] = self._turn
        if visit.wants is Wants.FAREWELL:
            self._hear_out(visit)
            return
        was_proven = visit.visitor.is_proven
        try:
            self._obey(visit, visit.visitor.go_on())
        except Exception as error:  # nobody has thought of it; it must not cost the others the door
            self._tell(error)
            if visit in self._visits:
                self._forget(visit)
            visit.visitor.close()
        if visit in self._visits and visit.visitor.is_proven and not was_proven:
            self._shares.prove(visit)

    def _tell(self, error: Exception) -> None:
        """Log what went wrong and where, each once; not its text, which may quote what a stranger sent."""
        place = traceback.extract_tb(error.__traceback__)[-1]
        told = f"{type(error).__name__} in {place.name}, line {place.lineno}"
        if told not in self._told:
            self._told.add(told)
            _log.error("a connection that has not logged in is given up: %s", told)

    def _obey(self, visit: _Visit, wants: Wants) -> None:
        if wants is Wants.CLOSE:
            self._close(visit)
        elif wants is Wants.ENTRY:
            self._forget(visit)
            visit.visitor.enter()
        elif wants is not visit.wants:
            if visit.wants is not Wants.TIME:
                self._selector.unregister(visit.fd)
            visit.wants = wants
            if wants is Wants.FAREWELL:
                visit.until = self._clock() + _FAREWELL_SECONDS
            if wants is not Wants.TIME:
                event = selectors.EVENT_WRITE if wants is Wants.ROOM else selectors.EVENT_READ
                self._selector.register(visit.fd, event, visit)

    def _close(self, visit: _Visit) -> None:
        self._forget(visit)
        visit.visitor.close()

    def _forget(self, visit: _Visit) -> None:
        if visit.wants is not Wants.TIME:
            self._selector.unregister(visit.fd)
        self._visits.discard(visit)
        self._shares.leave(visit)

    def _hear_out(self, visit: _Visit) -> None:
        """Read on for a moment, so that the reason is read before a reset can discard it."""
        try:
            if visit.sock.recv(_CHUNK):
                return
        except BlockingIOError:
            return
        except OSError:
            pass
        self._close(visit)

    def _sweep(self, now: float) -> None:
        """Ask those who wait for somebody else, and end those whose time is over."""
        if self._accept_from and now >= self._accept_from:
            self._accept_from = 0.0
            self._selector.register(self._listener.socket, selectors.EVENT_READ)
        for visit in list(self._visits):
            if visit.wants is Wants.TIME:
                self._go_on(visit)
            if visit not in self._visits:
                continue
            is_late = now >= visit.handshake_until and not visit.visitor.is_proven
            if visit.wants is Wants.FAREWELL:
                if now >= visit.until:
                    self._close(visit)
            elif is_late or now >= visit.until:
                self._obey(visit, visit.visitor.time_is_up())
        self._last_turn = {visit.share: self._last_turn.get(visit.share, 0) for visit in self._visits}
