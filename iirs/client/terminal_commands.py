"""What a line typed in a terminal is: a text for the peer, or a command; and what commands answer."""

from __future__ import annotations

from enum import Enum
from itertools import zip_longest

from iirs.client.events import (
    ConnectionChanged,
    ConnectionState,
    ContactChanged,
    Event,
    KeepingChanged,
    PeerChanged,
    PeerState,
    PeopleChanged,
    RoundOpened,
    StandingBy,
)
from iirs.errors import AccountError

SLASH = "/"
_NAMES_SHOWN = 200

STATE_SENTENCES = {
    PeerState.ASKING: "asking {peer} to talk; both sides have to ask",
    PeerState.AGREED: "{peer} asks too: starting",
    PeerState.QUIET: "nothing from {peer} last round",
    PeerState.RESUMING: "lost {peer}: asking again",
    PeerState.ENDING: "the conversation with {peer} is ending",
    PeerState.ENDED: "{peer} ended the conversation",
}


class Command(Enum):
    """What a terminal does itself; the value is how it is typed."""

    HELP = "/help"
    WHO = "/who"
    STATUS = "/status"
    QUIT = "/quit"


_OTHER_NAMES = {"/?": Command.HELP, "/peer": Command.STATUS, "/exit": Command.QUIT}
_KNOWN = {command.value: command for command in Command} | _OTHER_NAMES

HELP = (
    "what you type goes to {peer}, line by line, but for lines that begin with /:",
    "/who: who is registered on this server, and how many are online",
    "/status (or /peer): how the talk with {peer} stands, and your safety number",
    "/quit (or /exit, or Ctrl-D): leave when all that was typed has been delivered; Ctrl-C: leave now",
    "//...: send a text that begins with one /",
)
"""What ``/help`` says, a sentence a line."""


class Standing:
    """What a terminal knows of the talk and the server: events in, sentences out."""

    def __init__(self, peer: str) -> None:
        self._peer = peer
        self._state = PeerState.IDLE
        self._numbers: dict[str, str] | None = None
        """Everybody who is registered, and the safety number of the two of us."""
        self._contact: ContactChanged | None = None
        self._online = 0
        self._is_connected = True  # until told otherwise: who is registered is told by a server
        self._full, self._standby = "", ""
        """Why nothing is sent for now, by this machine's disk and by the servers."""

    def take(self, event: Event) -> None:
        """Note what has changed."""
        match event:
            case PeerChanged(peer, state) if peer == self._peer:
                self._state = state
            case PeopleChanged(names, numbers):
                self._numbers = dict(zip_longest(names, numbers, fillvalue=""))
            case ContactChanged(name) if name == self._peer:
                self._contact = event
            case RoundOpened():
                self._online, self._standby = event.online, ""
            case StandingBy():
                self._online, self._standby = 0, event.sentence
            case KeepingChanged():
                self._full = event.sentence
            case ConnectionChanged(state):
                self._is_connected = state is ConnectionState.ONLINE
                self._online, self._standby = 0, ""

    def who(self) -> list[str]:
        """Return who is registered, and how many are online."""
        if self._numbers is None:
            return ["not connected yet: who is registered is not known"]
        names = sorted(self._numbers)
        more = f" and {len(names) - _NAMES_SHOWN} more" if len(names) > _NAMES_SHOWN else ""
        online = self._online or "not known yet"
        return [
            f"registered on this server: {', '.join(names[:_NAMES_SHOWN])}{more}",
            f"online now, you included: {online} (clients are told how many, and never who)",
        ]

    def status(self) -> list[str]:
        """Return how the talk with the peer stands."""
        if self._numbers is None:
            return ["not connected yet"]
        if self._peer not in self._numbers:
            return [f"{self._peer} is not registered yet"]
        state = STATE_SENTENCES.get(self._state, f"the talk with {{peer}}: {self._state.value}")
        number = self._numbers[self._peer]
        groups = " ".join(number[place : place + 5] for place in range(0, len(number), 5))
        compared = self._contact is not None and self._contact.verified
        blocked = self._contact.blocked if self._contact is not None else ""
        pauses = [
            "" if self._is_connected else "no connection now; it is tried again",
            self._full,
            self._standby,
        ]
        return [
            state.format(peer=self._peer),
            *[pause for pause in pauses if pause],
            f"your safety number, {'' if compared else 'not yet '}marked as compared: {groups}",
            *([blocked] if blocked else []),
        ]


def read_line(line: str, encoding: str) -> str | Command:
    """Return the text to send, or the command. Raises ``AccountError`` for what is neither: nothing is sent.

    A line is a command if its first character is a slash; two send one. ``encoding`` is what the line was
    decoded by; bytes that it could not decode are surrogates.
    """
    line = _as_typed(line, encoding)
    if not line.startswith(SLASH):
        return line
    if line.startswith(2 * SLASH):
        return line.removeprefix(SLASH)
    name, *more = line.split()
    command = _KNOWN.get(name.lower())
    if command is None:
        raise AccountError(
            f"there is no command {name}, and nothing was sent: /help says which there are; "
            "to send a text that begins with /, begin it with //"
        )
    if more:
        raise AccountError(
            f"{name} takes nothing after it, and nothing was done or sent; "
            "to send a text that begins with /, begin it with //"
        )
    return command


def _as_typed(line: str, encoding: str) -> str:
    """Return a line that its encoding could not decode as the UTF-8 it is. Raises ``AccountError``."""
    try:
        line.encode("utf-8")
    except UnicodeEncodeError:
        try:
            return line.encode(encoding, "surrogateescape").decode("utf-8")
        except UnicodeError:
            raise AccountError(
                f"a line was not sent: it is neither {encoding} nor UTF-8, and would arrive altered"
            ) from None
    return line
