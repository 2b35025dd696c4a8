"""How long a text may be: one answer for whoever types it, and for the messenger that takes or refuses it.

Pure functions; a window asks them before it takes anything out of its field.
"""

from __future__ import annotations

from iirs.client.chat_session import TEXT_MAX, clean_text
from iirs.client.messenger.group_item import TEXT_MAX as GROUP_TEXT_MAX
from iirs.client.store.log_entry import GROUP_MARK
from iirs.errors import AccountError

_SHORT_IN_JSON = frozenset("\b\t\n\f\r")
_CONTROL_SIZE = 3
"""JSON writes any other control character as six bytes, and a note has room for a text's size twice."""


def text_limit(talk: str) -> int:
    """Return the largest ``text_size`` that goes to a person, or to a group, in bytes."""
    return GROUP_TEXT_MAX if talk.startswith(GROUP_MARK) else TEXT_MAX


def text_size(text: str) -> int:
    """Return how much of ``text_limit`` a text takes, in bytes of UTF-8.

    Control characters that nobody types take three bytes each, so that what fits a group fits its note.
    """
    data = clean_text(text).encode()
    controls = sum(character < " " and character not in _SHORT_IN_JSON for character in text)
    return len(data) + (_CONTROL_SIZE - 1) * controls


def check_text(talk: str, text: str) -> None:
    """Return if a text may go to a person or group. Raises ``AccountError`` if it is too long."""
    size, limit = text_size(text), text_limit(talk)
    if size > limit:
        raise AccountError(
            "This text has {size} bytes; at most {limit} go at once. Send it in parts.",
            size=size,
            limit=limit,
        )
