"""``Session``: one login as a window holds it, from the form to the end of its connection."""

from __future__ import annotations

import queue
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass

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
_AT_ONCE_SECONDS = 3.0
"""How long to wait for a connection that leaves at once."""


@dataclass(frozen=True, slots=True)
class Leaving:
    """A way out that was begun: what to do when the connection is over, and what the person reads of it."""

    then: Callable[[], None]
    what_then: str


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

    def begin(self) -> None:
        """Connect, and read what the list of talks shows first."""
        self.connection.start()
        self.background.read_last_entries()

    def take_events(self) -> Iterator[Event]:
        """Have the model take some of what happened, one by one, and return each."""
        for _ in range(_EVENTS_A_TICK):
            try:
                event = self.connection.events.get_nowait()
            except queue.Empty:
                return
            self.model.take(event)
            yield event

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
        """Hang up and leave as everybody does, which takes seven rounds."""
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
