"""``Drafts``: what a person has written to somebody and not sent, kept with all else until it is."""

from __future__ import annotations

from iirs.client.store.store import ClientStore

DRAFT_MAX = 256 * 1024
"""So many characters of a draft are kept, several times what a text can have: what is pasted has no end."""
_DRAFT = "draft:"


class Drafts:
    """One account's, by talk. The store's owner thread only; whoever calls commits."""

    def __init__(self, store: ClientStore) -> None:
        self._store = store

    def keep(self, talk: str, text: str) -> None:
        """Keep what is being written, in place of what was; nothing of it if the text is empty."""
        if text:
            self._store.set(_DRAFT + talk, text[:DRAFT_MAX])
        else:
            self._store.remove(_DRAFT + talk)

    def all(self) -> dict[str, str]:
        """Return what was kept, by talk."""
        kept = self._store.values(_DRAFT)
        return {name.removeprefix(_DRAFT): text for name, text in kept.items() if isinstance(text, str)}
