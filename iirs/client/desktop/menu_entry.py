"""The entry in a Linux desktop's menu, for one person, as the Desktop Entry Specification has it.

With it, the desktop shows iirs among its programs and opens join links (``iirs://``) with it.
"""

from __future__ import annotations

import os
import shutil
import sys
from pathlib import Path

from iirs.client.store.whole_files import write_whole
from iirs.errors import ConfigError

_ICON = Path(__file__).parents[1] / "data" / "iirs.svg"
_ENTRY = """[Desktop Entry]
Type=Application
Name=iirs
Comment=Chat without anyone seeing that you do
Comment[de]=Chatten, ohne dass jemand sieht, dass man es tut
Exec={command} %u
Icon=iirs
Terminal=false
Categories=Network;InstantMessaging;
MimeType=x-scheme-handler/iirs;
StartupWMClass=Iirs
"""


def places() -> tuple[Path, Path]:
    """Return where the entry and its icon belong. Raises ``ConfigError`` on other systems than Linux."""
    if sys.platform != "linux":
        raise ConfigError("Entries in the desktop's menu are for Linux only; start iirs-client by its name.")
    named = os.environ.get("XDG_DATA_HOME", "")
    data = Path(named) if Path(named).is_absolute() else Path.home() / ".local" / "share"
    return data / "applications" / "iirs.desktop", data / "icons/hicolor/scalable/apps/iirs.svg"


def install() -> str:
    """Write entry and icon, in place of any before; return a sentence. Raises ``ConfigError``."""
    entry, icon = places()
    text = _ENTRY.format(command=quoted(_program()))
    try:
        for path, data in ((icon, _ICON.read_bytes()), (entry, text.encode())):
            path.parent.mkdir(parents=True, exist_ok=True)
            write_whole(path, data)
    except OSError as error:
        raise ConfigError("The entry in the desktop's menu cannot be written.") from error
    return f"iirs is in the desktop's menu now: {entry}"


def remove() -> str:
    """Remove what ``install`` wrote, and nothing else; return a sentence. Raises ``ConfigError``."""
    try:
        for path in places():
            path.unlink(missing_ok=True)
    except OSError as error:
        raise ConfigError("The entry in the desktop's menu cannot be removed.") from error
    return "iirs is not in the desktop's menu any more."


def quoted(program: str) -> str:
    """Return a program's path as ``Exec`` wants it: quoted, then escaped as all strings of an entry are.

    Raises ``ConfigError`` for a path the specification has no way to write.
    """
    if "=" in program or not program.isprintable():
        raise ConfigError("iirs-client lies in a folder whose name a desktop entry cannot hold.")
    inside = "".join(f"\\{character}" if character in '"`$\\' else character for character in program)
    return '"' + inside.replace("\\", "\\\\").replace("%", "%%") + '"'


def _program() -> str:
    """Return the whole path of the installed ``iirs-client``. Raises ``ConfigError`` if there is none."""
    started = Path(sys.argv[0])
    if started.name == "iirs-client" and started.is_file():
        return str(started.absolute())
    found = shutil.which("iirs-client")
    if found is None:
        raise ConfigError("iirs-client is not installed: install iirs first, for example with pipx.")
    return str(Path(found).absolute())
