"""``Contacts``: whose keys we have seen and compared, and to whom nothing is sent because of them.

The directory never changes a key. If it shows another one under a name than before, or two directories were
seen, somebody may be in the middle: nothing is said to that person until ours has looked at it.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass

from iirs.client.events import ContactChanged
from iirs.client.messenger.safety_number import safety_number
from iirs.client.store.store import ClientStore
from iirs.client.text.translate import N_
from iirs.directory import Directory, Entry

_PREFIX = "contact:"
_ALARM = "two directories"
KEYS_CHANGED = N_(
    "The keys under this name are not the ones seen before. Somebody may be in between. "
    "Nothing is sent until you have compared safety numbers."
)
TWO_DIRECTORIES = N_(
    "Two lists of people were seen, both signed by the servers. Nothing is sent until you have asked the "
    "people who run them, and compared safety numbers."
)


@dataclass(slots=True)
class _Contact:
    """Fingerprints as hexadecimal digits; ``verified`` is the one that was compared, or ""."""

    key: str
    verified: str = ""
    despite_alarm: bool = False
    """The person goes on although two directories were seen."""


class Contacts:
    """One account's. The store's owner thread only."""

    def __init__(self, store: ClientStore) -> None:
        """Load what is known. Raises ``StoreError``."""
        self._store = store
        self._known = {
            name.removeprefix(_PREFIX): _Contact(**value) for name, value in store.values(_PREFIX).items()
        }
        self.alarmed = bool(store.get(_ALARM, False))
        """Two directories were seen."""

    def names(self) -> list[str]:
        """Return the names of those whose keys have been noted."""
        return sorted(self._known)

    def meet(self, entry: Entry) -> bool:
        """Note a person's keys if they are new; return whether nothing speaks against sending."""
        if entry.name not in self._known:
            self._keep(entry.name, _Contact(entry.fingerprint.hex(), despite_alarm=self.alarmed))
        return not self.blocked(entry)

    def blocked(self, entry: Entry) -> str:
        """Return why nothing is to be sent to this person, or ""."""
        contact = self._known.get(entry.name)
        if contact is None:
            return ""
        if contact.key != entry.fingerprint.hex():
            return KEYS_CHANGED
        return TWO_DIRECTORIES if self.alarmed and not contact.despite_alarm else ""

    def raise_alarm(self) -> None:
        """Remember that two directories were seen."""
        self.alarmed = True
        self._store.set(_ALARM, True)

    def verify(self, entry: Entry, *, verified: bool) -> None:
        """Mark the keys shown now as compared, or not."""
        contact = self._contact(entry)
        contact.verified = entry.fingerprint.hex() if verified else ""
        self._keep(entry.name, contact)

    def accept(self, entry: Entry) -> None:
        """Go on with a person under the keys shown now, as ours wants it so."""
        contact = self._contact(entry)
        contact.key = entry.fingerprint.hex()
        contact.despite_alarm = self.alarmed
        self._keep(entry.name, contact)

    def described(self, directory: Directory, mine: Entry, entry: Entry) -> ContactChanged:
        """Return what the window should know about a person."""
        contact = self._known.get(entry.name)
        verified = contact is not None and contact.verified == entry.fingerprint.hex()
        return ContactChanged(entry.name, number_with(directory, mine, entry), verified, self.blocked(entry))

    def _contact(self, entry: Entry) -> _Contact:
        return self._known.get(entry.name) or _Contact(entry.fingerprint.hex())

    def _keep(self, name: str, contact: _Contact) -> None:
        self._known[name] = contact
        self._store.set(_PREFIX + name, asdict(contact))


def number_with(directory: Directory, mine: Entry, entry: Entry) -> str:
    """Return the safety number of two people, 60 digits; one's own number if they are the same."""
    return safety_number(directory.chain_id, mine.name, mine.fingerprint, entry.name, entry.fingerprint)
