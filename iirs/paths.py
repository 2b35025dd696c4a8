"""Where programs keep their files, by the custom of each system."""

from __future__ import annotations

import os
import sys
from pathlib import Path

from platformdirs import user_data_path


def data_directory(program: str) -> Path:
    """Return the folder for a program's data; it need not exist yet."""
    folder = user_data_path(program, appauthor=False, roaming=True)
    # Earlier versions heeded an XDG_DATA_HOME that is no absolute path, and none at all on macOS. What they
    # kept must be found again: a server that does not find its identity begins another chain.
    base = os.environ.get("XDG_DATA_HOME") or folder.parent
    if sys.platform == "darwin":
        base = Path.home() / "Library" / "Application Support"
    former = Path(base, program)
    return former if former.exists() and not folder.exists() else folder
