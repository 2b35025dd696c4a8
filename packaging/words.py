"""The words a window shows, for translators: ``python packaging/words.py`` after any of them has changed.

It collects them into ``iirs/locale/iirs.pot``, brings every ``.po`` file up to date and compiles it. What is
missing afterwards is said, and makes ``pytest`` fail. Needs Babel (in the extra ``test``).
"""

from __future__ import annotations

import datetime
import io
from pathlib import Path

from babel.messages import Catalog
from babel.messages.extract import extract_from_dir
from babel.messages.mofile import write_mo
from babel.messages.pofile import read_po, write_po

from iirs.wire.accounts import Result
from iirs.wire.limits import CloseReason

ROOT = Path(__file__).parent.parent
LOCALE = ROOT / "iirs" / "locale"
KEYWORDS: dict[str, tuple[int, ...] | None] = {
    "_": None,
    "N_": None,
    "n_": (1, 2),
    **dict.fromkeys(
        (
            *("AccountError", "StoreError", "ConnectionLostError", "ChainError", "DirectoryError"),
            *("PeerError", "StoreDamagedError", "Notice"),
        ),
        None,
    ),
}
"""Functions, and errors a window shows, whose first argument is a sentence."""
PROGRAMS = ("client/terminal.py", "client/main.py", "client/gui.py")
"""Speak English only: what they say goes to scripts and screen readers, and is documented as it is."""
_NOTHING_SHOWN = ("message.py", "wire/", "onion.py", "demo", "meter")
"""How the names of modules begin whose sentences no window shows."""

_NEVER = datetime.datetime(2026, 1, 1, tzinfo=datetime.UTC)
_ANOTHER_CHAIN = (
    "This server shows another chain than the one that {source}. Someone may be in between, or the server "
    "was set up anew: ask the person who runs it for the link."
)


def collected() -> Catalog:
    """Return all words there are, without translations."""
    catalog = Catalog(project="iirs", charset="utf-8", fuzzy=False)
    places = [("client/**.py", "python"), ("*.py", "python")]
    for name, line, message, _, _ in extract_from_dir(ROOT / "iirs", places, keywords=KEYWORDS):
        if name not in PROGRAMS and not name.startswith(_NOTHING_SHOWN):
            catalog.add(message, locations=[(f"iirs/{name}", line)])
    for sentence in (*(result.sentence for result in Result), *(reason.sentence for reason in CloseReason)):
        catalog.add(sentence, locations=[("iirs/wire/limits.py", 1)])
    for source in ("the join link names", "was used before"):
        catalog.add(_ANOTHER_CHAIN.format(source=source), locations=[("iirs/chain.py", 1)])
    return catalog


def sources() -> list[Path]:
    """Return the translations there are."""
    return sorted(LOCALE.glob("*/LC_MESSAGES/iirs.po"))


def updated(source: Path, words: Catalog) -> Catalog:
    """Return a translation with exactly the words there are now."""
    with source.open("rb") as file:
        catalog = read_po(file, locale=source.parent.parent.name)
    catalog.update(words, no_fuzzy_matching=True, update_creation_date=False)
    catalog.obsolete.clear()
    catalog.creation_date = catalog.revision_date = _NEVER  # a file that depends on its words alone
    return catalog


def missing(catalog: Catalog) -> list[str]:
    """Return the words without a translation."""
    untranslated = []
    for message in catalog:
        strings = message.string if isinstance(message.string, tuple | list) else (message.string,)
        if message.id and not all(strings):
            untranslated.append(str(message.id))
    return untranslated


def compiled(catalog: Catalog) -> bytes:
    """Return what a translation compiles to."""
    written = io.BytesIO()
    write_mo(written, catalog)
    return written.getvalue()


def main() -> None:
    """Write and compile all catalogues anew."""
    words = collected()
    with (LOCALE / "iirs.pot").open("wb") as file:
        write_po(file, words, omit_header=True, sort_output=True, no_location=True, width=108)
    for source in sources():
        catalog = updated(source, words)
        with source.open("wb") as file:
            write_po(file, catalog, sort_output=True, no_location=True, width=108)
        source.with_suffix(".mo").write_bytes(compiled(catalog))
        print(f"{source.parent.parent.name}: {len(missing(catalog))} words are missing")


if __name__ == "__main__":
    main()
