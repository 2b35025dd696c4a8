"""Writes the vectors: ``python -m tests.vectors.make``; with ``--check``, says which it would write anew.

Everything is worked out by the reference, not by the program under test. The vectors do not change unless the
protocol does.
"""

from __future__ import annotations

import sys
from collections.abc import Callable

from tests.vectors.book import Book
from tests.vectors.cases import FOLDER
from tests.vectors.makers import conversations, groups, layers, links, people, rounds

FILES: tuple[Callable[[], Book], ...] = (
    *layers.FILES,
    *people.FILES,
    *rounds.FILES,
    *conversations.FILES,
    *groups.FILES,
    *links.FILES,
)


def differing() -> list[str]:
    """Return the names of the files that are not what this program writes, or that it does not know."""
    texts = {f"{make.__name__}.json": make().text() for make in FILES}
    found = {path.name: path.read_text(encoding="utf-8") for path in FOLDER.glob("*.json")}
    return sorted(name for name in texts | found if texts.get(name) != found.get(name))


def main() -> int:
    """Write every file, or check them; return 1 if one is another."""
    if "--check" in sys.argv[1:]:
        names = differing()
        sys.stdout.write("".join(f"{name} is not what the reference makes\n" for name in names))
        return 1 if names else 0
    for make in FILES:
        (FOLDER / f"{make.__name__}.json").write_text(make().text(), encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
