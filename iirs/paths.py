"""Where programs keep their files, by the custom of each system."""

from __future__ import annotations

import os
import sys
from pathlib import Path

from platformdirs import user_data_path

from iirs.errors import ConfigError

_NOWHERE = (
    "There is no home directory to keep anything in: name a folder with --data-dir, or set HOME to the home "
    "directory."
)


def data_directory(program: str) -> Path:
    """Return the folder for a program's data; it need not exist yet.

    Raises ``ConfigError`` if nobody says where: no home directory, and no user that the system knows.
    """
    try:
        return _data_directory(program)
    except RuntimeError as error:
        raise ConfigError(_NOWHERE) from error


def _data_directory(program: str) -> Path:
    folder = user_data_path(program, appauthor=False, roaming=True)
    # Earlier versions heeded an XDG_DATA_HOME that is no absolute path, and none at all on macOS. What they
    # kept must be found again: a server that does not find its identity begins another chain.
    base = os.environ.get("XDG_DATA_HOME") or folder.parent
    if sys.platform == "darwin":
        base = Path.home() / "Library" / "Application Support"
    former = Path(base, program)
    if former.exists() and (former == folder or not folder.exists()):
        return former
    # Without a home directory "~" stays as it is, or nothing takes its place: nowhere to keep anything.
    if not folder.is_absolute() or folder == Path("/.local/share", program):
        raise ConfigError(_NOWHERE)
    return folder
