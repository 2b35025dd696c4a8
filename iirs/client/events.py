"""What the client tells whoever shows it: values put on a queue, in order."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import Enum

from iirs.client.store.log_entry import LogEntry, TextState, TransferState
from iirs.client.text.translate import N_, _

ROUNDS_GO_ON = N_("All servers of the chain answer again. Rounds go on.")


class ConnectionState(Enum):
    """Where the connection to the server stands."""

    CONNECTING = "connecting"
    ONLINE = "online"
    WAITING = "waiting"
    """Lost; will try again by itself."""
    CLOSED = "closed"
    """Over, and will not try again."""


class PeerState(Enum):
    """Where a conversation stands."""

    IDLE = "idle"
    WAITING = "waiting"
    """We want to ask, and every slot is in use: the first that is free is for this one, in order."""
    ASKING = "asking"
    """Our invitations go out; the peer has not asked for us in the same bundle yet."""
    AGREED = "agreed"
    """Both asked; the first rounds together are under way."""
    CONNECTED = "connected"
    QUIET = "quiet"
    """In sync, but the last round brought nothing from the peer."""
    RESUMING = "resuming"
    """Nothing for too long; invitations go out again."""
    ENDING = "ending"
    ENDED = "ended"
    """The peer ended the conversation."""


@dataclass(frozen=True, slots=True)
class ConnectionChanged:
    """The connection's state, and a sentence about it."""

    state: ConnectionState
    sentence: str = ""


@dataclass(frozen=True, slots=True)
class RoundOpened:
    """A round was announced; ``seconds`` until it closes."""

    round_number: int
    seconds: float
    online: int
    invite_every: int
    round_seconds: float


@dataclass(frozen=True, slots=True)
class StandingBy:
    """There is no round for now: a server of the chain does not answer. Told once a round period."""

    hop: int | None
    """The hop that does not answer, counted from 0; ``None``: not known."""
    hops: int
    """How many hops the chain has."""

    @property
    def sentence(self) -> str:
        """What to tell the person."""
        if self.hop is None:
            return _(
                "A server of the chain is not answering. Rounds pause until it is back; nothing is lost."
            )
        return _(
            "A server of the chain is not answering (the {which} of {all}). "
            "Rounds pause until it is back; nothing is lost."
        ).format(which=_(_ORDINALS[self.hop]), all=self.hops)


_ORDINALS = (N_("1st"), N_("2nd"), N_("3rd"), N_("4th"), N_("5th"), N_("6th"), N_("7th"), N_("8th"))


@dataclass(frozen=True, slots=True)
class KeepingChanged:
    """Whether this machine's disk takes what has to be kept. While it does not, nothing is sent."""

    sentence: str = ""
    """Why not, or "" once it does again."""


class RoundFate(Enum):
    """What became of our part of a round that was announced to us."""

    CLEAN = "clean"
    """All that could be checked came back as it should."""
    TAMPERED = "tampered with"
    """The round was done, and something of ours or of a peer's was missing or altered."""
    LOST = "lost"
    """The round failed, our upload was not in it, or nothing was heard of it again."""
    NOT_YET = "not yet"
    """We came in the middle of an epoch: there are circuits of ours from the next one on."""


@dataclass(frozen=True, slots=True)
class RoundClosed:
    """A round is over for us: its replies came, or can come no more."""

    round_number: int
    fate: RoundFate

    @property
    def clean(self) -> bool:
        """False if anything of ours was missing or altered."""
        return self.fate is RoundFate.CLEAN


@dataclass(frozen=True, slots=True)
class PeerChanged:
    """A conversation's state. ``established`` is True once, when the two have come into sync."""

    peer: str
    state: PeerState
    established: bool = False


@dataclass(frozen=True, slots=True)
class PeerAsks:
    """Somebody we are not asking for asks to talk to us; or, without ``asks``, does so no more."""

    peer: str
    asks: bool = True


@dataclass(frozen=True, slots=True)
class TextReceived:
    """A text arrived; it is stored. ``peer`` is the talk: a person's name, or a group's key."""

    peer: str
    text_id: bytes
    text: str = field(repr=False)
    sent_at_ms: int
    author: str = ""
    """Who wrote it, in a group."""
    expires_at_ms: int = 0


@dataclass(frozen=True, slots=True)
class TextQueued:
    """A text of ours is stored and will be sent. ``peer`` is the talk."""

    peer: str
    text_id: bytes
    text: str = field(repr=False)
    sent_at_ms: int
    expires_at_ms: int = 0


@dataclass(frozen=True, slots=True)
class TextChanged:
    """A text of ours is on its way or has been delivered. ``peer`` is the talk."""

    peer: str
    text_id: bytes
    state: TextState


@dataclass(frozen=True, slots=True)
class FileAdded:
    """A file is in a talk's log: ours, or one that somebody begins to send."""

    entry: LogEntry


@dataclass(frozen=True, slots=True)
class TransferChanged:
    """How far a file is; ``done`` of ``size`` bytes have been delivered, or have arrived."""

    talk: str
    file_id: bytes
    state: TransferState
    done: int
    size: int


@dataclass(frozen=True, slots=True)
class EntriesRemoved:
    """Entries are gone from a log: deleted, or disappeared."""

    talk: str
    item_ids: tuple[bytes, ...]


@dataclass(frozen=True, slots=True)
class TimerChanged:
    """Entries of a talk disappear here this many seconds after they were sent or arrived; 0: they stay."""

    talk: str
    seconds: int
    is_new: bool = False
    """It has just been set."""


@dataclass(frozen=True, slots=True)
class TimerAsked:
    """Somebody else has set a time for a talk, which counts here once our person agrees."""

    talk: str
    author: str = ""
    """Who it was; "": nobody waits for an answer any more."""
    seconds: int = 0
    is_new: bool = False
    """They have just done so."""


class GroupState(Enum):
    """Where we stand in a group."""

    INVITED = "invited"
    JOINED = "joined"
    LEFT = "left"


@dataclass(frozen=True, slots=True)
class GroupChanged:
    """A group we know of, as it is now."""

    key: str
    name: str
    members: tuple[str, ...]
    """Everybody who was asked and has not left, ourselves included, sorted."""
    joined: frozenset[str]
    """Those of them who have said that they take part."""
    founder: str
    state: GroupState


@dataclass(frozen=True, slots=True)
class ContactChanged:
    """What we know of a person's keys."""

    name: str
    number: str
    """The safety number of the two of us, 60 digits."""
    verified: bool
    """We have compared it in person."""
    blocked: str = ""
    """Why nothing is sent to them now, as a sentence; or ""."""


@dataclass(frozen=True, slots=True)
class ErrandDone:
    """The server has taken, or refused, a new password; or, with ``deletion``, has deleted the account."""

    deletion: bool
    accepted: bool


@dataclass(frozen=True, slots=True)
class PeopleChanged:
    """The directory grew; ``names`` are all names in it."""

    names: tuple[str, ...] = field(repr=False)
    numbers: tuple[str, ...] = field(default=(), repr=False)
    """For each name the safety number of the two of us; for our own name a number of our own."""


@dataclass(frozen=True, slots=True)
class Notice:
    """A sentence the person should see."""

    sentence: str
    alarm: bool = False


Event = (
    ConnectionChanged
    | RoundOpened
    | RoundClosed
    | StandingBy
    | KeepingChanged
    | PeerChanged
    | PeerAsks
    | TextReceived
    | TextQueued
    | TextChanged
    | FileAdded
    | TransferChanged
    | EntriesRemoved
    | TimerChanged
    | TimerAsked
    | GroupChanged
    | ContactChanged
    | ErrandDone
    | PeopleChanged
    | Notice
)


class EventLog:
    """What has happened and has not been told yet, in order. One owner thread appends and takes."""

    def __init__(self) -> None:
        self._events: list[Event] = []

    def append(self, event: Event) -> None:
        """Note what has happened."""
        self._events.append(event)

    def cut(self, length: int) -> None:
        """Take back what was noted after there were ``length`` events: it did not happen after all."""
        del self._events[length:]

    @property
    def length(self) -> int:
        """How many events wait."""
        return len(self._events)

    def take(self) -> list[Event]:
        """Return what has happened since last asked, in order."""
        taken, self._events = self._events, []
        return taken
