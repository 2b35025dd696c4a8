"""``ConnectionOptions``: what of a client's connection a test may own."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from iirs.client.account.account import Environment
from iirs.client.net.upload_clock import START_STEP
from iirs.message import Message

_BACKOFF_SECONDS = (1.0, 2.0, 4.0, 8.0, 15.0, 30.0)


@dataclass(frozen=True, slots=True)
class ConnectionOptions:
    """What a test may own."""

    environment: Environment = field(default_factory=Environment)
    backoff_seconds: tuple[float, ...] = _BACKOFF_SECONDS
    start_step: float = START_STEP
    silent_seconds: float = 10.0
    """A server that says nothing for this long and five rounds is given up."""
    tap: Callable[[str, Message], None] | None = None
    """Called with "up" or "down" and each session message: for tests and the glass box."""
