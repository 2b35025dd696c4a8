"""``Session``: one login as a window holds it, from the form to the end of its connection."""

from __future__ import annotations

import queue
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

from iirs.client.account.entry_calls import Home
from iirs.client.account_tasks import (
    LoggedIn,
    PasswordTold,
    change_password,
    forget,
    password_changed,
    password_refused,
)
from iirs.client.events import Event
from iirs.client.model.background import BackgroundWork, Reading
from iirs.client.model.chat_model import ChatModel

_EVENTS_A_TICK = 200
DRAFT_SECONDS = 2.0
"""What is being written is kept no more often."""
_AT_ONCE_SECONDS = 3.0
"""How long to wait for a connection that leaves at once."""


@dataclass(frozen=True, slots=True)
class Leaving:
    """A way out that was begun: what to do when the connection is over, and what the person reads of it."""

    then: Callable[[], None]
    what_then: str


@dataclass(frozen=True, slots=True)
class Left:
    """Whose session ended, and what was being written in it, by talk."""

    verify_key: bytes
    texts: dict[str, str] = field(repr=False)


class Session:
    """The connection, what works beside it, and the model of what is shown. No method blocks."""

    def __init__(self, result: LoggedIn, home: Home, tell: Callable[[Reading | PasswordTold], None]) -> None:
        """``tell`` is called from other threads."""
        self.connection = result.connection
        self.background = BackgroundWork(self.connection, tell)
        account = self.connection.account
        self.model = ChatModel(account.name, len(account.chain.hops), account.chain.slots)
        self.leaving: Leaving | None = None
        self._home = home
        self._tell = tell
        self._at_once_since: float | None = None
        self._keep_at = 0.0

    def begin(self) -> None:
        """Connect, and read what the list of talks shows first."""
        self.connection.start(stays=True)
        self.background.read_last_entries()
        self.background.read_drafts()

    def take_events(self) -> Iterator[Event]:
        """Have the model take some of what happened, one by one, and return each."""
        for _ in range(_EVENTS_A_TICK):
            try:
                event = self.connection.events.get_nowait()
            except queue.Empty:
                return
            self.model.take(event)
            yield event

    @property
    def is_time_to_keep(self) -> bool:
        """Whether what is being written may have changed for long enough to be kept."""
        return time.monotonic() >= self._keep_at

    def keep_drafts(self) -> None:
        """Have what is being written kept in the store, if that has changed."""
        self._keep_at = time.monotonic() + DRAFT_SECONDS
        for talk in self.model.drafts_to_keep():
            self.background.keep_draft(talk.peer, talk.draft)

    @property
    def left(self) -> Left:
        """What was being written when it ended, whether the store took it or not."""
        texts = {talk.peer: talk.draft for talk in self.model.talks.values() if talk.draft}
        return Left(self.connection.account.identity.verify_key_bytes, texts)

    def take_over(self, left: Left | None) -> None:
        """Go on with what was being written in the session before, if it was the same account's."""
        if left is not None and left.verify_key == self.connection.account.identity.verify_key_bytes:
            for peer, text in left.texts.items():
                self.model.talk(peer).draft = text

    # -- the account --------------------------------------------------------------------------------

    def change_password(self, old: str, new: str) -> None:
        """Have a new password take the old one's place; a ``PasswordTold`` or an ``ErrandDone`` follows."""
        change_password(self.connection, self._home, old, new, self._tell)

    def password_settled(self, *, accepted: bool) -> PasswordTold:
        """Keep what is kept here under the new password if the server took it; return what to say."""
        return password_changed(self.connection, self._home) if accepted else password_refused()

    def forget(self) -> None:
        """Delete all that this machine has of the account; its connection is over."""
        forget(self.connection, self._home)

    def end(self) -> None:
        """End what works beside the connection; that is over."""
        self.background.pictures.stop()

    # -- leaving ------------------------------------------------------------------------------------

    def leave(self, leaving: Leaving, *, coming_back: bool) -> None:
        """Hang up and leave as everybody does, which takes a few rounds."""
        self.leaving = leaving
        self.connection.quit(coming_back=coming_back)

    def hurry(self) -> None:
        """Leave without waiting for the conversations to end."""
        if self._at_once_since is None:
            self._at_once_since = time.monotonic()
            self.connection.quit(at_once=True, coming_back=True)

    @property
    def is_over(self) -> bool:
        """Whether the connection is over and told all it had to, or leaving at once has taken too long."""
        waited = 0.0 if self._at_once_since is None else time.monotonic() - self._at_once_since
        return waited > _AT_ONCE_SECONDS or (self.connection.join(0) and self.connection.events.empty())
