"""What the desktop says of itself. Blocks for up to two seconds: for a worker thread."""

from __future__ import annotations

import shutil
import subprocess
import sys

_SECONDS = 2.0


def is_dark() -> bool:
    """Return whether the desktop has dark windows; False if it does not say."""
    if sys.platform == "win32":
        return _windows_is_dark()
    if sys.platform == "darwin":
        return _answer("defaults", "read", "-g", "AppleInterfaceStyle") == "Dark"
    return "dark" in _answer("gsettings", "get", "org.freedesktop.desktop.interface", "color-scheme") or (
        "dark" in _answer("gsettings", "get", "org.gnome.desktop.interface", "color-scheme")
    )


def _answer(program: str, *arguments: str) -> str:
    """Return what a program prints, "" if it is not there, fails or takes too long."""
    path = shutil.which(program)
    if path is None:
        return ""
    try:
        done = subprocess.run([path, *arguments], capture_output=True, timeout=_SECONDS, check=True)  # noqa: S603  # fixed words, no shell
    except (OSError, subprocess.SubprocessError):
        return ""
    return done.stdout.decode("utf-8", "replace").strip()


def _windows_is_dark() -> bool:
    try:
        import winreg  # noqa: PLC0415  # only there on Windows

        place = r"Software\Microsoft\Windows\CurrentVersion\Themes\Personalize"
        with winreg.OpenKey(winreg.HKEY_CURRENT_USER, place) as key:  # type: ignore[attr-defined,unused-ignore]
            return winreg.QueryValueEx(key, "AppsUseLightTheme")[0] == 0  # type: ignore[attr-defined,no-any-return,unused-ignore]
    except (ImportError, OSError):
        return False
