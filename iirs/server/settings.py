"""Bounds and sources of a running server, with the values it uses unless a test or simulation owns them."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from dataclasses import dataclass, field

from iirs.geometry import RandomBytes
from iirs.server.accounts.guesses import NAME_ALLOWANCE, PLACE_ALLOWANCE, Allowance
from iirs.server.connectionThread import ConnectionSettings
from iirs.server.deaddrop import DropObserver
from iirs.server.mix_stage import StageView
from iirs.server.net.lobby import LobbySettings


def seconds_since_boot() -> float:
    """Return the monotonic clock, with the time that the machine slept where that can be had."""
    return time.clock_gettime(time.CLOCK_BOOTTIME) if hasattr(time, "CLOCK_BOOTTIME") else time.monotonic()


@dataclass(frozen=True, slots=True)
class ServiceSettings:
    """Bounds and sources of a running server."""

    max_connections: int = 5000
    bundle_bytes_per_second: int = 64 * 1024
    """Invitation rounds are stretched so that bundles stay under this for each client."""
    registrations_burst: float = 100
    registrations_per_second: float = 1.0
    password_changes_burst: float = 5
    password_changes_per_second: float = 0.02
    failed_logins_burst: float = 10
    failed_logins_per_second: float = 0.02
    """For one name, from each place and from the machines of its owner."""
    failed_logins_of_name: Allowance = NAME_ALLOWANCE
    """For one name, from all strange places together."""
    failed_logins_of_place: Allowance = PLACE_ALLOWANCE
    """From one strange place, for all names together."""
    logins_burst: float = 30
    logins_per_second: float = 0.2
    lobby: LobbySettings = field(default_factory=LobbySettings)
    """How many may be there who have not logged in; the times are the connection's."""
    clock: Callable[[], float] = time.time
    uptime: Callable[[], float] = seconds_since_boot
    random_bytes: RandomBytes = os.urandom
    connection: ConnectionSettings = field(default_factory=ConnectionSettings)
    hop_seconds: float = 3.0
    """How long the later hops may take for a round, or one and a half rounds if that is longer."""
    sign_seconds: float = 8.0
    """How long a login waits until every hop has signed the registration."""
    observe: DropObserver | None = None
    """Glass box for tests and simulations only; see ``DeadDropManager``."""
    observe_stage: Callable[[StageView], None] | None = None
    """The same for what the entry mixes."""
