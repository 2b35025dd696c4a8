"""One end of a connection in full control of its bytes: what a program that breaks the protocol would be."""

from __future__ import annotations

import os
import socket
import ssl
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass

from iirs.client.account.account import Account
from iirs.epoch import EpochKey
from iirs.errors import PeerError
from iirs.geometry import BatchKind, Geometry
from iirs.message import Limits, Message, MessageKind, MessageReader
from iirs.onion import entry_offer_info
from iirs.tls import TlsPipe, client_context
from iirs.wire.accounts import NO_ERRAND, Errand, Login, Result
from iirs.wire.limits import CloseReason, hello
from iirs.wire.rounds import Announcement, Upload

ANYTHING: Limits = dict.fromkeys(MessageKind, (0, 2**32 - 1))
PATIENCE_SECONDS = 60.0


class RawEnd:
    """A socket and its TLS, without any manners. Every wait is bounded."""

    def __init__(self, sock: socket.socket, context: ssl.SSLContext, *, server_side: bool) -> None:
        self.socket = sock
        sock.settimeout(PATIENCE_SECONDS)
        self.pipe = TlsPipe(context, server_side=server_side)
        self._reader = MessageReader(ANYTHING)

    def __enter__(self) -> RawEnd:
        return self

    def __exit__(self, *_: object) -> None:
        self.socket.close()

    def handshake(self) -> None:
        self.pipe.start()
        self.flush()
        while not self.pipe.established:
            data = self.socket.recv(65536)
            if not data:
                raise PeerError("The other end hung up.")
            try:
                self._reader.feed(self.pipe.feed(data))
            finally:
                self.flush()  # an alert too

    def blurt(self, data: bytes) -> None:
        """Send bytes as they are, past TLS."""
        self.socket.sendall(data)

    def say(self, *data: bytes | Message) -> None:
        """Send bytes or messages inside TLS."""
        for item in data:
            self.pipe.send(item.encode() if isinstance(item, Message) else item)
        self.flush()

    def flush(self) -> None:
        self.socket.sendall(self.pipe.take_outgoing())

    def read(self) -> Message | None:
        """Return the next message, or ``None`` when the other end has hung up."""
        while (message := self._reader.next_message()) is None:
            try:
                data = self.socket.recv(65536)
                if not data:
                    return None
                self._reader.feed(self.pipe.feed(data))
            except (ConnectionError, PeerError):
                return None
        return message

    def wait_for(self, kind: MessageKind) -> bytes:
        """Skip to the next message of a kind and return its body."""
        seen: list[str] = []
        with suppress(TimeoutError):
            while (message := self.read()) is not None:
                if message.kind is kind:
                    return message.body
                seen.append(message.kind.name)
            raise AssertionError(f"the other end hung up without a {kind.name}, after {seen[-9:]}")
        raise AssertionError(f"no {kind.name} in {PATIENCE_SECONDS:.0f} s, after {seen[-9:]}")

    def ending(self) -> CloseReason | None:
        """Read to the end; return why the other end closed, or ``None`` if it just hung up."""
        reason = None
        while (message := self.read()) is not None:
            if message.kind is MessageKind.CLOSE:
                reason = CloseReason(message.body[0])
        return reason


def dial(port: int) -> RawEnd:
    """Open a connection and say nothing."""
    return RawEnd(socket.create_connection(("127.0.0.1", port)), client_context(), server_side=False)


def dial_tls(port: int) -> RawEnd:
    """Open a connection, TLS and nothing more."""
    end = dial(port)
    end.handshake()
    return end


def greeted(port: int) -> tuple[RawEnd, EpochKey]:
    """Open a connection up to the point where one may register or log in."""
    end = dial_tls(port)
    end.say(hello())
    end.wait_for(MessageKind.CHAIN)
    return end, EpochKey.decode(end.wait_for(MessageKind.KEYS))


def login_message(account: Account, key: EpochKey) -> Message:
    chain = account.chain
    info = entry_offer_info(chain.chain_id, chain.entry_certificate, key.key_id)
    offer = chain.geometry.suite.seal(key.verified(chain, 0), os.urandom(32), info)
    return Login(account.name, account.login_secret, key.key_id, offer).encode()


@dataclass
class Session:
    """A logged-in connection that has seen an announcement."""

    end: RawEnd
    announcement: Announcement
    geometry: Geometry

    def upload(
        self,
        number: int | None = None,
        *,
        invites: bool | None = None,
        sets_up: bool | None = None,
        errand: Errand = NO_ERRAND,
    ) -> bytes:
        """Return an upload of right size and full of random bytes, by default of the right kind and round."""
        with_invitations = self.announcement.has_invitations if invites is None else invites
        with_setups = self.announcement.is_setup if sets_up is None else sets_up
        upload = Upload(
            self.announcement.round_number if number is None else number,
            self._random(BatchKind.CELL, self.geometry.circuits),
            self._random(BatchKind.SETUP, self.geometry.circuits) if with_setups else (),
            self._random(BatchKind.INVITATION, self.geometry.slots) if with_invitations else (),
            errand,
        )
        return b"".join(message.encode() for message in upload.encode())

    def _random(self, kind: BatchKind, count: int) -> tuple[bytes, ...]:
        return tuple(os.urandom(self.geometry.uploaded_size(kind)) for _ in range(count))

    def insist(self, build: Callable[[], Sequence[bytes | Message]]) -> CloseReason | None:
        """Send what ``build`` gives in every round until the server closes; return why it did.

        In every round, because on a slow machine any one of them may come too late to matter.
        """
        self.end.say(*build())
        while (message := self.end.read()) is not None:
            if message.kind is MessageKind.CLOSE:
                return CloseReason(message.body[0])
            if message.kind is MessageKind.ANNOUNCE:
                self.announcement = Announcement.decode(message.body[1:], self.geometry)
                self.end.say(*build())
        return None

    def next_announcement(self) -> int:
        """Wait for the next round; return the late notice that came with it."""
        body = self.end.wait_for(MessageKind.ANNOUNCE)
        self.announcement = Announcement.decode(body[1:], self.geometry)
        return body[0]


def logged_in(port: int, account: Account) -> Session:
    end, key = greeted(port)
    end.say(login_message(account, key))
    assert end.wait_for(MessageKind.RESULT) == bytes([Result.OK])
    geometry = account.chain.geometry
    first = Announcement.decode(end.wait_for(MessageKind.ANNOUNCE)[1:], geometry)
    return Session(end, first, geometry)
