"""The words a person reads, in their language: gettext's catalogues, chosen once and changed at any time.

Every sentence stands in English where it is used, as ``_("...")``; values are put in afterwards, with
``format``. ``N_`` marks a sentence that is stored and translated later.
"""

from __future__ import annotations

import gettext
import locale
from pathlib import Path

DOMAIN = "iirs"
FOLDER = Path(__file__).parents[2] / "locale"
ENGLISH = "en"

_chosen: list[gettext.NullTranslations] = [gettext.NullTranslations()]


def _(sentence: str) -> str:
    """Return an English sentence in the chosen language; as it is where there is no translation."""
    return _chosen[0].gettext(sentence) if sentence else ""


def n_(one: str, many: str, count: int) -> str:
    """Return the form of a sentence that goes with a count, in the chosen language."""
    return _chosen[0].ngettext(one, many, count)


def N_(sentence: str) -> str:  # noqa: N802  # gettext's usual name for it
    """Mark a sentence for translation, and return it as it is."""
    return sentence


def languages() -> tuple[str, ...]:
    """Return the languages there are words in, by their codes; English is always first."""
    found = sorted(path.parent.parent.name for path in FOLDER.glob(f"*/LC_MESSAGES/{DOMAIN}.mo"))
    return (ENGLISH, *found)


def set_language(code: str = "") -> str:
    """Use a language from now on, "" for the system's; return the code of what is used."""
    wanted = code or (locale.getlocale()[0] or ENGLISH).split("_")[0]
    used = wanted if wanted in languages() else ENGLISH
    _chosen[0] = (
        gettext.NullTranslations()
        if used == ENGLISH
        else gettext.translation(DOMAIN, FOLDER, [used], fallback=True)
    )
    return used
