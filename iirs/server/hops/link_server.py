"""``LinkServer``: the link from the hop before, from the side that answers.

One thread, the ``Lobby``, accepts and shakes hands with all newcomers (bounded in number and time), and one,
``serve``, owns the ``LaterHop`` and answers whoever was admitted last. Only the hop before is admitted: the
handshake fails for anybody else, which is logged and disturbs nobody.
"""

from __future__ import annotations

import logging
import math
import queue
import ssl
import threading
import time

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from iirs.chain import Chain
from iirs.errors import HopError, PeerError, StoreError
from iirs.geometry import BatchKind, pieces
from iirs.server.hops import link
from iirs.server.hops.handshake import Handshake
from iirs.server.hops.later_hop import LaterHop
from iirs.server.hops.link import BatchHeader, BehindError, Frame, LinkKind, Prepare, Refusal, RefusedError
from iirs.server.hops.next_hop import FrameStream
from iirs.server.mix_stage import Batch
from iirs.server.net.listener import Listener
from iirs.server.net.lobby import Lobby, LobbySettings
from iirs.tls import link_context

_log = logging.getLogger("iirs.mix")
_HANDSHAKE_SECONDS = 5.0
_HANDSHAKES_MAX = 64
_HANDSHAKES_SHARE = 16
"""Of one address."""
_FLOOD_SECONDS = 10.0
_FLOOD_TOLD = 10
"""Refusals logged one by one in that time; the rest together, with the first one after it."""
_BUDGET_MAX = 120.0
"""Seconds a request may take at most, whatever the hop before says."""
_FRAME_SECONDS = 10.0
"""A request that has begun to arrive must be there after so long."""


_LOBBY = LobbySettings(
    _HANDSHAKES_MAX,
    _HANDSHAKES_SHARE,
    handshake_seconds=_HANDSHAKE_SECONDS,
    visit_seconds=_HANDSHAKE_SECONDS,
)


class LinkServer:
    """Listens for the hop before. ``listen``, then ``serve`` until ``stop``."""

    def __init__(self, chain: Chain, hop: int, identity: Ed25519PrivateKey, later_hop: LaterHop) -> None:
        self._chain = chain
        self._hop = hop
        self._later_hop = later_hop
        self._context = link_context(identity, chain.hops[hop - 1].identity, server_side=True)
        self._admitted: queue.SimpleQueue[FrameStream | None] = queue.SimpleQueue()
        self._lock = threading.Lock()
        self._current: FrameStream | None = None
        self._told: set[str] = set()
        """What was said since a round was done last; each thing is said once."""
        self._refused = 0
        self._flood_began = -math.inf
        self._stopping = threading.Event()
        self._lobby: Lobby | None = None

    def listen(self, host: str, port: int) -> int:
        """Begin to accept; return the port. Raises ``ConfigError`` if the address cannot be had."""
        listener = Listener(host, port, backlog=512, advice="Check --host and --port.")
        self._lobby = Lobby(
            listener,
            lambda sock, _: Handshake(sock, self._context, self._let_in, self._tell_refusal),
            _LOBBY,
            refused=self._tell_refusal,
            cannot_accept=lambda: None,
        )
        self._lobby.start()
        return listener.port

    def stop(self) -> None:
        """End ``serve`` and let go of the socket; safe from any thread."""
        self._stopping.set()
        if self._lobby is not None:
            self._lobby.stop()
        self._admit(None)

    def tidy(self) -> None:
        """Forget what is to be forgotten by the clock; to be called now and then, from any thread."""
        self._later_hop.erase_keys()

    def serve(self) -> None:
        """Answer whoever was admitted last, until stopped."""
        while not self._stopping.is_set():
            stream = self._admitted.get()
            if stream is None:
                break
            try:
                while not self._stopping.is_set():
                    self._answer(stream)
            except (OSError, PeerError) as error:
                _log.info("the link from hop %d ended: %s", self._hop - 1, type(error).__name__)
            finally:
                stream.release()
        self._later_hop.close()

    # -- admission ------------------------------------------------------------------------------------

    def _let_in(self, sock: ssl.SSLSocket) -> None:
        self._admit(FrameStream(sock))
        _log.info("hop %d is linked", self._hop - 1)

    def _tell_refusal(self) -> None:
        """Log refusals, each for itself unless they come in a flood."""
        before, now = self._hop - 1, time.monotonic()
        with self._lock:
            untold = 0
            if now > self._flood_began + _FLOOD_SECONDS:
                untold = max(0, self._refused - _FLOOD_TOLD)
                self._flood_began, self._refused = now, 0
            self._refused += 1
            is_told = self._refused <= _FLOOD_TOLD
        if untold:
            _log.warning("refused connections that are not from hop %d: %d more", before, untold)
        if is_told:
            _log.warning("refused a connection that is not from hop %d of this chain", before)

    def _admit(self, stream: FrameStream | None) -> None:
        """Hand a stream to ``serve``, and end the one before: the hop before has connected anew."""
        with self._lock:
            before, self._current = self._current, stream
        if before is not None:
            before.close()
        self._admitted.put(stream)

    # -- answering ------------------------------------------------------------------------------------

    def _answer(self, stream: FrameStream) -> None:
        stream.wait()
        arriving_until = time.monotonic() + _FRAME_SECONDS
        frame = stream.receive(link.requests(self._chain.geometry), arriving_until)
        try:
            match frame.kind:
                case LinkKind.PREPARE:
                    request, budget = Prepare.decode(frame.body)
                    reply = [self._later_hop.prepare(request, _until(budget)).encode()]
                case LinkKind.OPEN:
                    announcement, budget = link.decode_open(frame.body)
                    self._later_hop.open_round(announcement, _until(budget))
                    reply = [Frame(LinkKind.OPENED)]
                case _:
                    reply = self._run(stream, frame)
        except BehindError as error:
            reply = [error.encode()]
        except HopError as error:
            self._tell(error)
            reply = [link.encode_refusal(error)]
        except StoreError as error:
            self._tell(error)
            reply = [link.encode_refusal(RefusedError(self._hop, Refusal.UNREACHABLE))]
        stream.send(reply, time.monotonic() + _FRAME_SECONDS)

    def _tell(self, error: HopError | StoreError) -> None:
        if str(error) not in self._told:
            self._told.add(str(error))
            _log.warning("%s", error)

    def _run(self, stream: FrameStream, frame: Frame) -> list[Frame]:
        header, budget = BatchHeader.decode(frame.body)
        until = _until(budget)
        geometry = self._chain.geometry
        size = geometry.item_size(geometry.hops - self._hop, header.kind)
        try:
            context = self._later_hop.context(header.round_number)
        except HopError:
            stream.skip_chunks(header.count * size, until)  # so that the link stays usable
            raise
        data = stream.receive_chunks(header.count * size, until)
        batch = Batch(context, header.kind, pieces(data, size), until)
        answers: list[bytes] = []
        match header.kind:
            case BatchKind.SETUP:
                self._later_hop.set_up(batch)
            case BatchKind.INVITATION:
                body = self._later_hop.collect_invitations(batch).encode_body()
                answers = pieces(body, link.CHUNK_MAX)
            case BatchKind.CELL:
                answers = self._later_hop.exchange(batch)
                self._tell_done(header.round_number)
        return [link.result_header(sum(map(len, answers))), *link.chunks(answers)]

    def _tell_done(self, round_number: int) -> None:
        _log.info("round %d: done", round_number)
        if self._told:
            self._told.clear()
            _log.warning("rounds go on")


def _until(budget_ms: int) -> float:
    return time.monotonic() + min(_BUDGET_MAX, budget_ms / 1000)
