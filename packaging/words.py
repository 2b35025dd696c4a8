"""The words a window shows, for translators: ``python packaging/words.py`` after any of them has changed.

It collects them into ``iirs/locale/iirs.pot``, brings every ``.po`` file up to date and compiles it. What is
missing afterwards is said, and makes ``pytest`` fail. Needs Babel (in the extra ``test``).
"""

from __future__ import annotations

import datetime
import re
from pathlib import Path

from babel.messages import Catalog, Message
from babel.messages.extract import extract_from_dir
from babel.messages.mofile import read_mo, write_mo
from babel.messages.pofile import read_po, write_po

from iirs.chain import ONE_SERVER
from iirs.wire.accounts import Result
from iirs.wire.limits import CloseReason

ROOT = Path(__file__).parent.parent
LOCALE = ROOT / "iirs" / "locale"
_UNSEEN = {
    "ConfigError",
    "ExtraMissingError",
    "OnionError",
    "HopError",
    "InvitationError",
    "PeerMessageError",
}
"""Errors whose sentences no window shows: programs say them, logs, or nobody."""
_ERRORS = {
    name
    for source in (ROOT / "iirs").rglob("*.py")
    for name in re.findall(r"^class (\w+Error)\(", source.read_text(encoding="utf-8"), flags=re.M)
} - _UNSEEN
KEYWORDS: dict[str, tuple[int, ...] | None] = {
    "_": None,
    "N_": None,
    "n_": (1, 2),
    **dict.fromkeys({"Notice", *_ERRORS}),
}
"""Functions, and errors a window shows, whose first argument is a sentence."""
_ENGLISH = ("client/terminal*.py", "client/main.py", "client/gui.py")
"""What they say goes to scripts and screen readers, and is documented as it is."""
_NOTHING_SHOWN = ("message.py", "onion.py", "wire/**.py", "demo/**.py", "meter/**.py", "server/**.py")
"""Modules whose sentences no window shows."""
_METHODS = [*((pattern, "ignore") for pattern in (*_ENGLISH, *_NOTHING_SHOWN)), ("**.py", "python")]

_NEVER = datetime.datetime(2026, 1, 1, tzinfo=datetime.UTC)
"""When every file was made, so that it depends on its words alone."""

Meaning = dict[tuple[str | None, tuple[str, ...]], tuple[tuple[str, ...], bool]]
"""By context and id: the strings, and whether somebody must look at them once more."""


def collected() -> Catalog:
    """Return all words there are, without translations."""
    catalog = Catalog(project="iirs", charset="utf-8", fuzzy=False)
    for _name, _line, message, _comments, context in extract_from_dir(
        ROOT / "iirs", _METHODS, keywords=KEYWORDS
    ):
        catalog.add(message, context=context)
    for sentence in (*(result.sentence for result in Result), *(reason.sentence for reason in CloseReason)):
        catalog.add(sentence)
    catalog.add(ONE_SERVER)
    return catalog


def sources() -> list[Path]:
    """Return the translations there are."""
    return sorted(LOCALE.glob("*/LC_MESSAGES/iirs.po"))


def read(source: Path) -> Catalog:
    """Return a translation as its file has it."""
    with source.open("rb") as file:
        return read_po(file, locale=source.parent.parent.name)


def read_compiled(source: Path) -> Catalog:
    """Return what a translation was compiled to."""
    with source.with_suffix(".mo").open("rb") as file:
        return read_mo(file)


def updated(source: Path, words: Catalog) -> Catalog:
    """Return a translation with exactly the words there are now."""
    catalog = read(source)
    catalog.update(words, no_fuzzy_matching=True, update_creation_date=False)
    catalog.obsolete.clear()
    catalog.creation_date = catalog.revision_date = _NEVER
    return catalog


def meaning(catalog: Catalog) -> Meaning:
    """Return what a catalogue says, whichever program, of whichever version, wrote it."""
    return {
        (message.context, _forms(message.id)): (_forms(message.string), bool(message.fuzzy))
        for message in catalog
        if message.id
    }


def compiled_meaning(catalog: Catalog) -> Meaning:
    """Return what a catalogue says once it is compiled: what is missing or fuzzy is left out."""
    return {key: value for key, value in meaning(catalog).items() if all(value[0]) and not value[1]}


def missing(catalog: Catalog) -> list[str]:
    """Return the words without a translation."""
    return [str(message.id) for message in catalog if message.id and not _is_translated(message)]


def _is_translated(message: Message) -> bool:
    return all(_forms(message.string)) and not message.fuzzy


def _forms(text: str | tuple[str, ...] | list[str] | None) -> tuple[str, ...]:
    return tuple(text) if isinstance(text, tuple | list) else (text or "",)


def main() -> None:
    """Write and compile all catalogues anew."""
    words = collected()
    with (LOCALE / "iirs.pot").open("wb") as file:
        write_po(file, words, omit_header=True, sort_output=True, no_location=True, width=108)
    for source in sources():
        catalog = updated(source, words)
        with source.open("wb") as file:
            write_po(file, catalog, sort_output=True, no_location=True, width=108)
        with source.with_suffix(".mo").open("wb") as file:
            write_mo(file, catalog)
        print(f"{source.parent.parent.name}: {len(missing(catalog))} words are missing")


if __name__ == "__main__":
    main()
