"""``Preferences``: how a person wants the window, and what it remembers between starts. No Tk here.

They are kept unencrypted beside the accounts, as they are needed before anybody has logged in: nothing in
them says whom somebody talks to.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass, fields
from enum import StrEnum
from pathlib import Path
from typing import Any

from iirs.client.store.whole_files import write_whole
from iirs.errors import IirsError

FILE = "window.json"
ZOOMS = (0.8, 0.9, 1.0, 1.1, 1.25, 1.5, 1.75, 2.0)
LOCK_MINUTES = (0, 1, 5, 15, 30, 60)
"""What can be chosen; 0 never locks by itself."""
_LENGTHS = {"link": 500, "name": 64, "language": 16}
_VISIBLE = 80
"""So many pixels of a window must be on the screen for a person to find it."""


class ColourScheme(StrEnum):
    """Which colours."""

    SYSTEM = "system"
    LIGHT = "light"
    DARK = "dark"


class Notify(StrEnum):
    """What the desktop is told of a text that came unseen."""

    OFF = "off"
    WITHOUT_TEXT = "without text"
    WITH_TEXT = "with text"


@dataclass(frozen=True, slots=True)
class WindowPlace:
    """A window's size and upper left corner, in pixels."""

    width: int
    height: int
    x: int
    y: int

    def fitted(self, screen_width: int, screen_height: int) -> WindowPlace:
        """Return the place moved and shrunk so that the whole window is on a screen of this size."""
        width, height = min(self.width, screen_width), min(self.height, screen_height)
        x = min(max(self.x, 0), screen_width - width)
        y = min(max(self.y, 0), screen_height - height)
        return WindowPlace(width, height, x, y)

    @property
    def geometry(self) -> str:
        """As Tk writes it."""
        return f"{self.width}x{self.height}+{self.x}+{self.y}"


@dataclass(frozen=True, slots=True)
class Preferences:
    """All of them; whatever is not known is as usual."""

    theme: ColourScheme = ColourScheme.SYSTEM
    zoom: float = 1.0
    language: str = ""
    """A language's code; "" is the system's."""
    notifications: Notify = Notify.WITHOUT_TEXT
    sound: bool = True
    lock_minutes: int = 0
    place: WindowPlace | None = None
    link: str = ""
    """The server of the last time."""
    name: str = ""
    """The account of the last time."""

    @classmethod
    def read(cls, folder: Path) -> Preferences:
        """Return what is kept in ``folder``; whatever is missing or damaged is as usual."""
        try:
            return cls.decode((folder / FILE).read_bytes())
        except OSError:
            return cls()

    @classmethod
    def decode(cls, data: bytes) -> Preferences:
        """Return the preferences in a file's bytes: any bytes give some."""
        try:
            values = json.loads(data)
        except (ValueError, RecursionError):
            return cls()
        return cls(**_known(values)) if isinstance(values, dict) else cls()

    def encode(self) -> bytes:
        """Return a file's bytes."""
        return json.dumps(asdict(self), indent=1).encode()

    def write(self, folder: Path) -> None:
        """Keep them, if the disk lets us: they are a convenience. The file is replaced as a whole."""
        with suppress(OSError, IirsError):
            folder.mkdir(parents=True, exist_ok=True, mode=0o700)
            write_whole(folder / FILE, self.encode())

    def zoomed(self, steps: int) -> float:
        """Return the zoom so many steps larger or smaller, as far as it goes; no steps is the usual one."""
        if not steps:
            return 1.0
        here = min(range(len(ZOOMS)), key=lambda index: abs(ZOOMS[index] - self.zoom))
        return ZOOMS[min(max(here + steps, 0), len(ZOOMS) - 1)]


def _known(values: Mapping[str, Any]) -> dict[str, Any]:
    """Return those values that mean something, by field."""
    known = {}
    for field in fields(Preferences):
        with suppress(ValueError, TypeError, KeyError):
            known[field.name] = _checked(field.name, values[field.name])
    return known


def _checked(name: str, value: Any) -> Any:
    """Return a field's value. Raises ``ValueError``, ``TypeError`` or ``KeyError`` if it is none."""
    match name:
        case "theme":
            return ColourScheme(value)
        case "notifications":
            return Notify(value)
        case "zoom":
            return ZOOMS[ZOOMS.index(value)]
        case "lock_minutes":
            return LOCK_MINUTES[LOCK_MINUTES.index(value)]
        case "sound":
            return _of_type(value, bool)
        case "place":
            return _place(value)
    return _of_type(value, str)[: _LENGTHS[name]]


def _of_type(value: Any, kind: type[Any]) -> Any:
    if type(value) is not kind:
        raise TypeError
    return value


def _place(value: Any) -> WindowPlace | None:
    if value is None:
        return None
    numbers = {side: _of_type(value[side], int) for side in ("width", "height", "x", "y")}
    if min(numbers["width"], numbers["height"]) < _VISIBLE or max(map(abs, numbers.values())) > 100_000:
        raise ValueError
    return WindowPlace(**numbers)
