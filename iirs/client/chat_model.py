"""What a window shows, as values: fed with the client's events, asked by the widgets. No Tk here."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

from iirs.client.chat_session import TextState
from iirs.client.display import displayable
from iirs.client.events import (
    ROUNDS_GO_ON,
    ConnectionChanged,
    ConnectionState,
    Event,
    Notice,
    PeerAsks,
    PeerChanged,
    PeerState,
    PeopleChanged,
    RoundClosed,
    RoundOpened,
    StandingBy,
    TextChanged,
    TextQueued,
    TextReceived,
)
from iirs.client.health import RoundHealth
from iirs.client.text_layout import shorten

ESTABLISHED = "Connection established successfully"
HISTORY_LIMIT = 500
HISTORY_CHARACTERS = 200_000
_ORDER = list(TextState)
_MAY_SEND = frozenset({PeerState.CONNECTED, PeerState.QUIET, PeerState.RESUMING})
BUSY_STATES = frozenset({PeerState.ASKING, PeerState.AGREED, *_MAY_SEND})
"""States of a conversation that can be ended."""


@dataclass(slots=True, eq=False)
class Row:
    """One entry of a log: a text, or (without an id) a remark. ``state`` is for texts of ours.

    ``text`` is as it came; only ``shown`` and ``whole`` are fit for a screen or a clipboard.
    """

    text: str = field(repr=False)
    at_ms: int
    text_id: bytes = b""
    outgoing: bool = False
    state: TextState | None = None
    shown: str = field(init=False, repr=False)

    def __post_init__(self) -> None:
        """Make what is shown safe, and not too long; shorten first, as looking at each character is slow."""
        self.shown = displayable(shorten(self.text))

    @property
    def whole(self) -> str:
        """All of the text, made safe."""
        return displayable(self.text)

    def advance(self, state: TextState) -> None:
        """Take a newer delivery state; an older one that comes late changes nothing."""
        if self.state is None or _ORDER.index(state) > _ORDER.index(self.state):
            self.state = state


@dataclass(frozen=True, slots=True)
class History:
    """What the store holds about one conversation, read in the network's thread."""

    peer: str
    texts: list[tuple[bytes, bool, str, int]] = field(repr=False)
    undelivered: frozenset[bytes]


@dataclass(slots=True)
class Talk:
    """One conversation as its window knows it."""

    peer: str
    state: PeerState = PeerState.IDLE
    rows: list[Row] = field(default_factory=list)
    version: int = 0
    """Grows when rows came anywhere but at the end, or changed."""
    unread: int = 0
    asks: bool = False
    has_history: bool = False
    last_ms: int = 0
    _by_id: dict[bytes, Row] = field(default_factory=dict, repr=False)

    def add(self, row: Row) -> bool:
        """Append a row unless its text is there already; return whether it was new."""
        if row.text_id and row.text_id in self._by_id:
            return False
        self.rows.append(row)
        if row.text_id:
            self._by_id[row.text_id] = row
        return True

    def change(self, text_id: bytes, state: TextState) -> None:
        """Take in a text's delivery state."""
        row = self._by_id.get(text_id)
        if row is not None:
            row.advance(state)
            self.version += 1

    def take_history(self, history: History) -> None:
        """Put what the store holds before what happened since."""
        live, self.rows, known = self.rows, [], self._by_id
        self._by_id = {}
        for text_id, outgoing, text, at_ms in _newest(history.texts):
            row = known.get(text_id) or Row(text, at_ms, text_id, outgoing)
            if outgoing:
                row.advance(TextState.QUEUED if text_id in history.undelivered else TextState.DELIVERED)
            self.add(row)
        for row in live:
            self.add(row)
        self.has_history = True
        self.version += 1

    @property
    def may_end(self) -> bool:
        """Whether there is something to end."""
        return self.state in BUSY_STATES


@dataclass(slots=True)
class Round:
    """The round that is open, or was last."""

    number: int
    closes_at: float
    seconds: float
    online: int
    invite_seconds: float
    closed: bool = False
    clean: bool = True


class ChatModel:
    """Everything one logged-in window shows. ``take`` each event in order, then redraw."""

    def __init__(self, me: str, now: Callable[[], float] = time.time) -> None:
        self.me = me
        self.connection = ConnectionState.CONNECTING
        self.sentence = ""
        self.people: tuple[str, ...] = ()
        self.talks: dict[str, Talk] = {}
        self.round: Round | None = None
        self.health = RoundHealth()
        self.standby = ""
        """Why there are no rounds for now, or "" while there are."""
        self.notice = ""
        """The newest sentence the person should see; whoever has shown it clears it."""
        self.alarms: list[str] = []
        self.open_peer = ""
        self._now = now

    def talk(self, peer: str) -> Talk:
        """Return the conversation with ``peer``, begun if need be."""
        return self.talks.setdefault(peer, Talk(peer))

    def open(self, peer: str) -> Talk:
        """Take ``peer``'s conversation as the one that is looked at; its texts are read."""
        self.open_peer = peer
        talk = self.talk(peer)
        talk.unread = 0
        return talk

    @property
    def asking(self) -> list[str]:
        """Who asks to talk to us."""
        return [talk.peer for talk in self.talks.values() if talk.asks]

    @property
    def unread(self) -> int:
        """How many texts nobody has looked at."""
        return sum(talk.unread for talk in self.talks.values())

    def order(self, wanted: str = "") -> list[str]:
        """Return the people to list: who asks, then conversations, newest first, then everybody else."""
        wanted = wanted.strip().lower()
        known = sorted(self.talks.values(), key=lambda talk: (not talk.asks, -talk.last_ms, talk.peer))
        names: Iterable[str] = dict.fromkeys([talk.peer for talk in known] + sorted(self.people))
        return [name for name in names if wanted in name and name != self.me]

    # -- what happens -----------------------------------------------------------------------------

    def take(self, event: Event) -> None:
        """Take in what the client tells."""
        match event:
            case ConnectionChanged(state, sentence):
                self.connection, self.sentence = state, sentence
                if state is not ConnectionState.ONLINE:
                    self.round, self.standby = None, ""
            case PeopleChanged(names):
                self.people = names
            case PeerAsks(peer):
                self.talk(peer).asks = True
            case Notice(sentence, alarm):
                self._note(sentence, alarm)
            case RoundOpened() | RoundClosed() | StandingBy():
                self._take_round(event)
            case PeerChanged():
                self._take_peer(event)
            case TextReceived() | TextQueued() | TextChanged():
                self._take_text(event)

    def _note(self, sentence: str, alarm: bool) -> None:
        if not alarm:
            self.notice = sentence
        elif sentence not in self.alarms:
            self.alarms.append(sentence)

    def _take_round(self, event: RoundOpened | RoundClosed | StandingBy) -> None:
        if isinstance(event, StandingBy):
            self.round, self.standby = None, event.sentence
            return
        if isinstance(event, RoundOpened):
            if self.standby:
                self.standby, self.notice = "", ROUNDS_GO_ON
            closes_at = time.monotonic() + event.seconds
            invites = event.invite_every * event.round_seconds
            self.round = Round(event.round_number, closes_at, event.seconds, event.online, invites)
            return
        self.health = self.health.after(event.fate)
        if self.round is not None and self.round.number == event.round_number:
            self.round.closed, self.round.clean = True, event.clean

    def _take_peer(self, event: PeerChanged) -> None:
        talk = self.talk(event.peer)
        before, talk.state = talk.state, event.state
        if talk.state in BUSY_STATES:
            talk.asks = False
        if event.established:
            self._remark(talk, ESTABLISHED)
        elif event.state is PeerState.ENDED and before is not PeerState.ENDED:
            self._remark(talk, f"{event.peer} ended the conversation")
        elif event.state is PeerState.IDLE and before is PeerState.ENDING:
            self._remark(talk, "You ended the conversation")

    def _remark(self, talk: Talk, text: str) -> None:
        talk.last_ms = self._now_ms()
        talk.add(Row(text, talk.last_ms))

    def _take_text(self, event: TextReceived | TextQueued | TextChanged) -> None:
        talk = self.talk(event.peer)
        if isinstance(event, TextChanged):
            talk.change(event.text_id, event.state)
            return
        outgoing = isinstance(event, TextQueued)
        state = TextState.QUEUED if outgoing else None
        new = talk.add(Row(event.text, event.sent_at_ms, event.text_id, outgoing, state))
        talk.last_ms = self._now_ms()
        if new and not outgoing and event.peer != self.open_peer:
            talk.unread += 1

    def _now_ms(self) -> int:
        return int(self._now() * 1000)

    # -- what to say ------------------------------------------------------------------------------

    def why_not(self, talk: Talk) -> str:
        """Return why nothing can be sent now, or "" if it can."""
        match self.connection:
            case ConnectionState.CONNECTING:
                return "Connecting to the server …"
            case ConnectionState.WAITING:
                return "No connection to the server. It comes back by itself."
            case ConnectionState.CLOSED:
                return "You are logged out."
        return "" if talk.state in _MAY_SEND else self.about(talk)

    def about(self, talk: Talk) -> str:
        """Return a sentence about where a conversation stands."""
        if self.standby and talk.state in _MAY_SEND:
            return "Rounds pause. What you send waits until they go on."
        return self._about(talk)

    def _about(self, talk: Talk) -> str:
        peer = talk.peer
        match talk.state:
            case PeerState.IDLE if talk.asks:
                return f"{peer} wants to talk to you. Accept to begin."
            case PeerState.IDLE:
                return f"Ask {peer} to talk first."
            case PeerState.ASKING:
                return f"Waiting until {peer} asks for you, too.{self._invite_pace()}"
            case PeerState.AGREED:
                return "You have both asked. Meeting in the next rounds …"
            case PeerState.CONNECTED:
                return "In sync. Enter sends, Shift+Enter begins a new line."
            case PeerState.QUIET:
                return (
                    f"Nothing came from {peer} in the last round. What you send is repeated until it arrives."
                )
            case PeerState.RESUMING:
                return f"{peer} is out of reach. Looking for each other again; what you send waits."
            case PeerState.ENDING:
                return "Ending. It takes a few rounds, so that nobody sees the moment."
            case PeerState.ENDED:
                return f"{peer} ended the conversation. Ask again to go on."

    def _invite_pace(self) -> str:
        if self.round is None or self.round.invite_seconds < 1:
            return ""
        return f" Invitations go out every {self.round.invite_seconds:.0f} s."

    def brief(self, talk: Talk) -> str:
        """Return two or three words about a conversation, for lists."""
        if talk.asks:
            return "wants to talk to you"
        return _BRIEF[talk.state]


def _newest(texts: list[tuple[bytes, bool, str, int]]) -> list[tuple[bytes, bool, str, int]]:
    """Return the newest of ``texts`` that a window can take in at once without a pause."""
    room = HISTORY_CHARACTERS
    for index in range(len(texts) - 1, -1, -1):
        room -= len(shorten(texts[index][2]))
        if room < 0:
            return texts[index + 1 :]
    return texts


_BRIEF = {
    PeerState.IDLE: "",
    PeerState.ASKING: "asked, waiting",
    PeerState.AGREED: "meeting …",
    PeerState.CONNECTED: "in sync",
    PeerState.QUIET: "quiet",
    PeerState.RESUMING: "out of reach",
    PeerState.ENDING: "ending …",
    PeerState.ENDED: "ended",
}
