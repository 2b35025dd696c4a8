"""What a group is called: its founder's word for it, but never like a person, or a sentence of ours.

A person's name has no ``#``. A title always begins with one, has no quotation mark, colon or check mark, and
is short; groups whose titles look alike have digits of their keys in them.
"""

from __future__ import annotations

import unicodedata
from collections import Counter
from collections.abc import Mapping
from functools import lru_cache

from iirs.client.text.display import one_line

MARK = "#"
TITLE_MAX = 40
"""Characters of a title."""
_KEY_DIGITS = 8
_EMOJI = 0x1F000
_KNOWN_MAX = 4096
"""Titles that are not made anew: with each group that comes, all are compared."""
_PUNCTUATION = frozenset("-_.,'!?&+/()@%*=~°€$£")
_OUR_MARKS = frozenset("✓✔☑✅☐☒◷●○■□▶►➤★☆⚠⛔🔒🔓🔏🔐🛡🗸🗹✗✘❌❎")
"""Signs that stand for something in this program, or in others: a name has none of them."""
_LOOKS_LIKE = str.maketrans(
    "\u0430\u0435\u043e\u0440\u0441\u0443\u0445\u0456\u0458\u0455\u0501\u0261\u04bb\u04cf\u043a\u043c\u0442"
    "\u043d\u0432\u03b1\u03bf\u03c1\u03bd\u03b9\u03ba\u03c5\u03c7\u03b5\u03c4\u0131\u0578\u057d\u0585|01l",
    "aeopcyxijsdghlkmthbaopvikuxetinuoiioi",
)
"""Letters of other alphabets by the Latin ones they are taken for: the usual ones, not all there are."""


def has_visible_name(name: str) -> bool:
    """Whether a group's name leaves anything to call it by."""
    return any(character.isalnum() or ord(character) >= _EMOJI for character in _plain(name))


@lru_cache(_KNOWN_MAX)
def group_title(name: str, key: str) -> str:
    """Return the title of a group; the first digits of its key where nobody could read the name."""
    plain = _plain(name)
    return MARK + plain if has_visible_name(name) else short_key(key)


def group_titles(names: Mapping[str, str]) -> dict[str, str]:
    """Return the titles of groups by their keys, from their names: no two that look alike."""
    titles = {key: group_title(name, key) for key, name in names.items()}
    counts = Counter(map(_seen_as, titles.values()))
    return {
        key: title if counts[_seen_as(title)] == 1 else f"{title} ({short_key(key)})"
        for key, title in titles.items()
    }


def short_key(key: str) -> str:
    """Return a group's key, which its founder cannot choose, short: ``#`` and eight digits."""
    return key[: 1 + _KEY_DIGITS]


def _plain(name: str) -> str:
    kept = "".join(character if _may_stand(character) else " " for character in one_line(name, 4 * TITLE_MAX))
    return one_line(kept, TITLE_MAX - 1)


def _may_stand(character: str) -> bool:
    kind = unicodedata.category(character)
    if character in _OUR_MARKS:
        return False
    return kind[0] in "LMNZ" or kind in {"So", "Sk", "Cf", "Cn"} or character in _PUNCTUATION


@lru_cache(_KNOWN_MAX)
def _seen_as(title: str) -> str:
    """Return what a title looks like at a glance: the same for two that would be mixed up."""
    letters = unicodedata.normalize("NFKD", unicodedata.normalize("NFKC", title).casefold())
    return "".join(c for c in letters.translate(_LOOKS_LIKE) if c.isalnum() and not unicodedata.combining(c))
