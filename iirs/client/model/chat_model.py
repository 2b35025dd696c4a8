"""What a window shows, as values: fed with the client's events, asked by the widgets. No Tk here."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass

from iirs.client.events import (
    ROUNDS_GO_ON,
    ConnectionChanged,
    ConnectionState,
    ContactChanged,
    EntriesRemoved,
    Event,
    FileAdded,
    GroupChanged,
    GroupState,
    KeepingChanged,
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
    TimerAsked,
    TimerChanged,
    TransferChanged,
)
from iirs.client.model.background import DraftNotKept, KeptDrafts, LastEntries, NotSent, Reading, Said
from iirs.client.model.round_health import RoundHealth
from iirs.client.model.talk import BUSY_STATES, Row, Talk
from iirs.client.model.timer_sentences import timer_set, timer_wish
from iirs.client.store.log_entry import HistoryPage, LogEntry, TextState
from iirs.client.text.group_title import group_titles
from iirs.client.text.translate import N_, _

ESTABLISHED = N_("Connection established successfully")


@dataclass(slots=True)
class Round:
    """The round that is open, or was last."""

    number: int
    closes_at: float
    seconds: float
    online: int
    invite_seconds: float
    round_seconds: float
    closed: bool = False
    clean: bool = True


class ChatModel:
    """Everything one logged-in window shows. ``take`` each event in order, then redraw."""

    def __init__(
        self, me: str, servers: int = 1, slots: int = 2, now: Callable[[], float] = time.time
    ) -> None:
        """``servers`` is how many the chain has, ``slots`` how many conversations there can be at once."""
        self.me = me
        self.servers = servers
        self.slots = slots
        self.connection = ConnectionState.CONNECTING
        self.sentence = ""
        self.people: tuple[str, ...] = ()
        self.numbers: dict[str, str] = {}
        """For each person the safety number of the two of us."""
        self.talks: dict[str, Talk] = {}
        self.round: Round | None = None
        self.health = RoundHealth()
        self.standby = ""
        """Why there are no rounds for now, or "" while there are."""
        self.keeping = ""
        """Why this machine's disk takes nothing for now, or "" while it does: nothing is sent meanwhile."""
        self.notice = ""
        """The newest sentence the person should see, in their language; whoever has shown it clears it."""
        self.alarms: list[str] = []
        self.arrived: list[tuple[str, str, str]] = []
        """Talk, author and text of what came and was not looked at: for notifications; to be cleared."""
        self.open_peer = ""
        self.focused = True
        """Whether the window has the keyboard: what comes meanwhile counts as looked at."""
        self._now = now

    def talk(self, peer: str) -> Talk:
        """Return the talk with a person or a group, begun if need be."""
        if peer not in self.talks:
            self.talks[peer] = Talk(peer, number=self.numbers.get(peer, ""))
        return self.talks[peer]

    def open(self, peer: str) -> Talk:
        """Take a talk as the one that is looked at; what is in it is read."""
        self.open_peer = peer
        talk = self.talk(peer)
        talk.new_from = _first_unread(talk)
        talk.unread = 0
        return talk

    @property
    def asking(self) -> list[str]:
        """Who asks to talk to us, and which groups ask us to join."""
        return [talk.peer for talk in self.talks.values() if talk.asks or talk.group is GroupState.INVITED]

    @property
    def unread(self) -> int:
        """How many entries nobody has looked at."""
        return sum(talk.unread for talk in self.talks.values())

    @property
    def in_use(self) -> int:
        """How many slots are in use."""
        busy = BUSY_STATES - {PeerState.WAITING} | {PeerState.ENDING}
        return sum(talk.state in busy for talk in self.talks.values())

    def order(self, wanted: str = "") -> list[str]:
        """Return the talks to list: who asks, then conversations, newest first, then everybody else."""
        wanted = wanted.strip().lower()
        asking = set(self.asking)
        shown = [talk for talk in self.talks.values() if talk.group is not GroupState.LEFT or talk.rows]
        known = sorted(shown, key=lambda talk: (talk.peer not in asking, -talk.last_ms, talk.title))
        names: Iterable[str] = dict.fromkeys([talk.peer for talk in known] + sorted(self.people))
        return [name for name in names if wanted in self._title(name).lower() and name != self.me]

    def _title(self, name: str) -> str:
        return self.talks[name].title if name in self.talks else name

    # -- what happens -----------------------------------------------------------------------------

    def take(self, event: Event) -> None:
        """Take in what the client tells."""
        match event:
            case ConnectionChanged():
                self._take_connection(event)
            case Notice() | KeepingChanged():
                self._take_sentence(event)
            case RoundOpened() | RoundClosed() | StandingBy():
                self._take_round(event)
            case PeerAsks() | PeerChanged():
                self._take_peer(event)
            case TextReceived() | TextQueued() | TextChanged():
                self._take_text(event)
            case FileAdded() | TransferChanged() | EntriesRemoved():
                self._take_entry(event)
            case TimerChanged() | TimerAsked():
                self._take_timer(event)
            case PeopleChanged() | GroupChanged() | ContactChanged():
                self._take_facts(event)

    def _take_people(self, names: tuple[str, ...], numbers: tuple[str, ...]) -> None:
        self.people = names
        if numbers:
            self.numbers = dict(zip(names, numbers, strict=True))
            for talk in self.talks.values():
                talk.number = self.numbers.get(talk.peer, talk.number)

    def _take_connection(self, event: ConnectionChanged) -> None:
        self.connection, self.sentence = event.state, event.sentence
        if event.state is not ConnectionState.ONLINE:
            self.round, self.standby = None, ""
        if event.state is ConnectionState.CLOSED:
            for talk in self.talks.values():
                talk.state = PeerState.IDLE  # nobody answers here any more

    def _take_sentence(self, event: Notice | KeepingChanged) -> None:
        if isinstance(event, KeepingChanged):
            self.keeping = event.sentence
        else:
            self._note(event.sentence, event.alarm)

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
                self.standby, self.notice = "", _(ROUNDS_GO_ON)
            closes_at = time.monotonic() + event.seconds
            invites = event.invite_every * event.round_seconds
            self.round = Round(
                event.round_number, closes_at, event.seconds, event.online, invites, event.round_seconds
            )
            return
        self.health = self.health.after(event.fate)
        if self.round is not None and self.round.number == event.round_number:
            self.round.closed, self.round.clean = True, event.clean

    def _take_peer(self, event: PeerAsks | PeerChanged) -> None:
        talk = self.talk(event.peer)
        if isinstance(event, PeerAsks):
            talk.asks = event.asks
            return
        before, talk.state = talk.state, event.state
        if talk.state in BUSY_STATES:
            talk.asks = False
        if event.established:
            self._remark(talk, _(ESTABLISHED))
        elif event.state is PeerState.ENDED and before is not PeerState.ENDED:
            self._remark(talk, _("{peer} ended the conversation").format(peer=event.peer))
        elif event.state is PeerState.IDLE and before is PeerState.ENDING:
            self._remark(talk, _("You ended the conversation"))

    def _remark(self, talk: Talk, text: str) -> None:
        talk.last_ms = self._now_ms()
        talk.add(Row(text, talk.last_ms))

    def _take_text(self, event: TextReceived | TextQueued | TextChanged) -> None:
        talk = self.talk(event.peer)
        if isinstance(event, TextChanged):
            talk.change(event.text_id, event.state)
            return
        outgoing = isinstance(event, TextQueued)
        row = Row(
            event.text,
            min(event.sent_at_ms, self._now_ms()),
            event.text_id,
            outgoing,
            TextState.QUEUED if outgoing else None,
            author="" if isinstance(event, TextQueued) else event.author or event.peer,
            expires_at_ms=event.expires_at_ms,
        )
        self._add(talk, row)

    def _add(self, talk: Talk, row: Row) -> None:
        new = talk.add(row)
        talk.last_ms = self._now_ms()
        if new and not row.outgoing and (talk.peer != self.open_peer or not self.focused):
            talk.unread += 1
            self.arrived.append((talk.peer, row.author, row.shown))

    def _take_entry(self, event: FileAdded | TransferChanged | EntriesRemoved) -> None:
        match event:
            case FileAdded(entry):
                self._add(self.talk(entry.talk), Row.of(entry, self._now_ms()))
            case TransferChanged(peer, file_id, state, done):
                self.talk(peer).move(file_id, state, done)
            case EntriesRemoved(peer, item_ids):
                self.talk(peer).remove(item_ids)

    def _take_timer(self, event: TimerChanged | TimerAsked) -> None:
        talk = self.talk(event.talk)
        if isinstance(event, TimerAsked):
            talk.timer_by, talk.timer_asked = event.author, event.seconds
            words = timer_wish(event.author, event.seconds)
        else:
            talk.timer = event.seconds
            words = timer_set(event.seconds)
        if event.is_new:
            self._remark(talk, words)

    def _take_group(self, event: GroupChanged) -> None:
        talk = self.talk(event.key)
        talk.group, talk.group_name, talk.founder = event.state, event.name, event.founder
        talk.members, talk.joined = event.members, event.joined
        groups = {talk.peer: talk for talk in self.talks.values() if talk.is_group}
        titles = group_titles({key: talk.group_name for key, talk in groups.items()})
        for key, title in titles.items():
            groups[key].group_title = title

    def _take_facts(self, event: PeopleChanged | GroupChanged | ContactChanged) -> None:
        match event:
            case PeopleChanged(names, numbers):
                self._take_people(names, numbers)
            case GroupChanged():
                self._take_group(event)
            case ContactChanged(name, number, verified, blocked):
                talk = self.talk(name)
                talk.number, talk.verified, talk.blocked = number, verified, blocked
                self.numbers[name] = number

    def take_history(self, history: HistoryPage) -> None:
        """Take in what was read of a talk's history."""
        self.talk(history.peer).take_history(history, self._now_ms())

    def take_last_entries(self, entries: Iterable[LogEntry]) -> None:
        """Take in the newest entry of every talk, for the list, after logging in."""
        for entry in entries:
            talk = self.talk(entry.talk)
            if talk.last is None:
                talk.last = Row.of(entry, self._now_ms())
            talk.last_ms = max(talk.last_ms, min(entry.sent_at_ms, self._now_ms()))

    def take_reading(self, reading: Reading) -> None:
        """Take in what was looked up, or what came of something else that was asked for."""
        match reading:
            case HistoryPage():
                self.take_history(reading)
            case LastEntries(entries):
                self.take_last_entries(entries)
            case KeptDrafts(texts):
                self._take_drafts(texts)
            case DraftNotKept(talk):
                self.talk(talk).kept_draft = None
            case NotSent() | Said():
                self._note(reading.sentence, isinstance(reading, Said) and reading.alarm)

    def _take_drafts(self, texts: dict[str, str]) -> None:
        """Take in what was written and not sent before; what is being written by now stays."""
        for peer, text in texts.items():
            talk = self.talk(peer)
            talk.kept_draft = text
            talk.draft = talk.draft or text

    def drafts_to_keep(self) -> list[Talk]:
        """Return the talks whose drafts the store does not have, if it takes any; count them as kept."""
        changed = [talk for talk in self.talks.values() if talk.draft != talk.kept_draft]
        if self.keeping:
            return []
        for talk in changed:
            talk.kept_draft = talk.draft
        return changed

    def _now_ms(self) -> int:
        return int(self._now() * 1000)


def _first_unread(talk: Talk) -> bytes:
    if not talk.unread:
        return b""
    incoming = [row.text_id for row in talk.rows if row.text_id and not row.outgoing]
    return incoming[-talk.unread] if talk.unread <= len(incoming) else (incoming[0] if incoming else b"")
