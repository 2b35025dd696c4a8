"""Where programs keep their files, by the custom of each system."""

from __future__ import annotations

import os
import sys
from pathlib import Path


def data_directory(program: str) -> Path:
    """Return the folder for a program's data; it need not exist yet."""
    home = Path.home()
    if sys.platform == "win32":
        return Path(os.environ.get("APPDATA", home / "AppData" / "Roaming")) / program
    if sys.platform == "darwin":
        return home / "Library" / "Application Support" / program
    return Path(os.environ.get("XDG_DATA_HOME") or home / ".local" / "share") / program
