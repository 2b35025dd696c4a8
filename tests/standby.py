"""A real service whose rounds pause when a test says so, as if a hop behind the entry were down."""

from __future__ import annotations

from collections.abc import Callable

import pytest

import iirs.server.service
from iirs.message import Message, MessageKind
from iirs.server.service import Service
from iirs.wire.rounds import Standby

_honest: Callable[[bytes, object], Message] = iirs.server.service._announce  # type: ignore[assignment]


class Pause:
    """``begin`` at the end of a round, ``tick`` as often as wanted, ``end``; only for rounds run by hand."""

    def __init__(self, service: Service, patch: pytest.MonkeyPatch) -> None:
        self._service = service
        self._held: bytes | None = None
        self._holds = False
        patch.setattr(iirs.server.service, "_announce", self._announce)

    def begin(self) -> None:
        """Run the round that is open; its replies come with STANDBY instead of the next announcement."""
        self._holds = True
        self._service.run_round()
        self._holds = False

    def tick(self) -> None:
        """Let a round period go by."""
        self._tell(Standby(None).encode())

    def end(self) -> None:
        """Announce the round that was due when the pause began: a pause takes no number."""
        assert self._held is not None
        self._tell(Message(MessageKind.ANNOUNCE, b"\0" + self._held))

    def _announce(self, announcement: bytes, session: object) -> Message:
        if not self._holds:
            return _honest(announcement, session)
        self._held = announcement
        return Standby(None).encode()

    def _tell(self, message: Message) -> None:
        for session in list(self._service._sessions.values()):
            session.send([message])
