"""The documents as the tests read them: their texts, sections and tables.

A check is a function of a text, so that its test can alter one thing and demand the failure.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

from iirs.geometry import Geometry
from iirs.suite import HYBRID, X25519

ROOT = Path(__file__).parent.parent


def page(name: str) -> str:
    """Return the text of a document, named by its path from the top."""
    return (ROOT / name).read_text(encoding="utf-8")


PROTOCOL = page("docs/protocol.md")
LINKS = page("docs/links.md")
GROUPS = page("docs/groups.md")
SPECIFICATION = "\n".join((PROTOCOL, LINKS, GROUPS))
"""All that is normative."""
ARCHITECTURE = page("docs/architecture.md")
COMMANDS = page("docs/commands.md")
PAGES = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md"), ROOT / "fuzz" / "README.md"])
GUIDES = "\n".join(path.read_text(encoding="utf-8") for path in PAGES)
SOURCES = {path: path.read_text(encoding="utf-8") for path in sorted((ROOT / "iirs").rglob("*.py"))}
GEOMETRIES = [Geometry(suite, hops, 2) for suite in (HYBRID, X25519) for hops in (1, 3)]


def break_it(text: str, old: str, new: str) -> str:
    """Return ``text`` with one thing changed; the thing must be there."""
    assert text.count(old) >= 1, f"nothing to break: {old!r}"
    return text.replace(old, new, 1)


def section(text: str, title: str) -> str:
    """Return the section of a document under this heading, its number included if it has one."""
    parts = re.split(r"^## (.*)$", text, flags=re.M)
    return dict(zip(parts[1::2], parts[2::2], strict=True))[title]


def tables(text: str) -> Iterator[tuple[tuple[str, ...], list[tuple[str, ...]]]]:
    """Give every table as its header and its rows, cells stripped."""
    for block in re.findall(r"(?:^\|.*\|\n)+", text + "\n", flags=re.M):
        rows = [
            tuple(cell.strip() for cell in re.split(r"(?<!\\)\|", line)[1:-1]) for line in block.splitlines()
        ]
        yield rows[0], rows[2:]


def table(text: str, *header: str) -> list[tuple[str, ...]]:
    """Return the rows of all tables with this header."""
    found = [row for head, rows in tables(text) if head == header for row in rows]
    assert found, f"no table with the header {header}"
    return found
