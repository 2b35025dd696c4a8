"""``Context``: what every part of a messenger needs of the account it belongs to."""

from __future__ import annotations

from dataclasses import dataclass

from iirs.client.account.account import Account, Environment
from iirs.client.events import EventLog
from iirs.client.store.store import ClientStore
from iirs.client.text.display import believed_time
from iirs.directory import Directory, Entry


@dataclass(frozen=True, slots=True)
class Context:
    """Who we are, where things are kept, who else there is, and whom to tell."""

    account: Account
    store: ClientStore
    directory: Directory
    environment: Environment
    events: EventLog

    @property
    def position(self) -> int:
        """Our own place in the directory. Raises ``AccountError`` before a session has begun."""
        return self.directory.position(self.account.name)

    @property
    def me(self) -> Entry:
        """Our own entry of the directory. Raises ``AccountError`` before a session has begun."""
        return self.directory.entries[self.position]

    def believed_ms(self, talk: str, sent_at_ms: int) -> int:
        """Return when something that arrives in a talk now is shown to be of, by its author's word."""
        return believed_time(sent_at_ms, self.store.history.newest_ms(talk), self.now_ms())

    def now_ms(self) -> int:
        """Return the time, in milliseconds."""
        return int(self.environment.clock() * 1000)
