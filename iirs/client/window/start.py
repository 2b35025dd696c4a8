"""``Start``: what a window begins with."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

from iirs.client.account_tasks import Credentials, Remembered
from iirs.client.connection_options import ConnectionOptions


@dataclass(frozen=True, slots=True)
class Start:
    """What a window begins with, if not with an empty form."""

    link: str = ""
    name: str = ""
    password: str = field(default="", repr=False)
    new: bool | None = None
    """Create the account, or log in to one there is; ``None``: not said."""
    keys_stay_here: bool = False
    peer: str = ""
    """Ask for this person as soon as the server knows them."""
    say: str = ""
    """Send them this once the two are in sync."""
    options: ConnectionOptions | None = None

    def after(self, last: Remembered) -> Start:
        """Return this with what the last time had, where nothing else was said."""
        return replace(self, link=self.link or last.link, name=self.name or last.name)

    @property
    def credentials(self) -> Credentials | None:
        """What to log in with at once, if all is said: with a new account, or an old one if there is one."""
        if not (self.link and self.name and self.password):
            return None
        return Credentials(
            self.link,
            self.name,
            self.password,
            new=self.new is not False,
            keys_stay_here=self.keys_stay_here,
            or_log_in=self.new is None,
        )
