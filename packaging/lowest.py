"""Print the lowest versions ``pyproject.toml`` allows, a ``name==version`` line each, for pip:

    python packaging/lowest.py > lowest.txt && pip install -r lowest.txt

The dependencies, and what the extra ``test`` needs, other extras it names included.
"""

from __future__ import annotations

import re
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

PYPROJECT = Path(__file__).parent.parent / "pyproject.toml"
_REQUIREMENT = re.compile(r"(?P<name>[\w.-]+)(?P<extras>\[[\w.,-]+\])?(?P<bounds>[^;]*)")
_LOWEST = re.compile(r">=\s*([\w.]+)")


def lowest(project: dict[str, Any], extra: str = "test") -> Iterator[str]:
    """Give the lines. Raises ``ValueError`` for a requirement with no lower or no upper bound."""
    extras = project["optional-dependencies"]
    for requirement in [*project["dependencies"], *extras[extra]]:
        found = _REQUIREMENT.fullmatch(requirement)
        if found is None:
            raise ValueError(f"not a requirement: {requirement}")
        if found["name"] == project["name"]:
            for inner in (found["extras"] or "").strip("[]").split(","):
                yield from lowest({**project, "dependencies": []}, inner)
            continue
        least = _LOWEST.search(found["bounds"])
        if least is None or "<" not in found["bounds"]:
            raise ValueError(f"a bound is missing: {requirement}")
        yield f"{found['name']}{found['extras'] or ''}=={least[1]}"


def main() -> int:
    """Print the lines. Returns 0, or 1 with a sentence if a bound is missing."""
    project = tomllib.loads(PYPROJECT.read_text("utf-8"))["project"]
    try:
        print(*lowest(project), sep="\n")
    except ValueError as error:
        print(f"lowest: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
