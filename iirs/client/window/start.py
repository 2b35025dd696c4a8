"""``Start``: what a window begins with."""

from __future__ import annotations

from dataclasses import dataclass

from iirs.client.account_tasks import Credentials
from iirs.client.server_connection import ConnectionOptions


@dataclass(frozen=True, slots=True)
class Start:
    """What a window begins with, if not with an empty form."""

    link: str = ""
    name: str = ""
    credentials: Credentials | None = None
    """Log in with these at once."""
    peer: str = ""
    """Ask for this person as soon as the server knows them."""
    say: str = ""
    """Send them this once the two are in sync."""
    options: ConnectionOptions | None = None
