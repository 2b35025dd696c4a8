"""Pictures that somebody sent, made small and harmless: decoded in a process of its own, never by name.

A decoder that is led astray takes down a process that has nothing: no keys, no connection of ours; its time
is limited, and its memory where the system can do that.
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

_DECODER = Path(__file__).with_name("decoder_process.py")
"""Run by its path: by its name, Python would import the packages it lies in."""
_SECONDS = 8.0
_STARTS = (b"\x89PNG\r\n\x1a\n", b"\xff\xd8\xff", b"GIF8", b"RIFF")


def may_be_picture(data: bytes) -> bool:
    """Whether it is worth a process to look: data of the formats we show begins like this."""
    return data.startswith(_STARTS)


def thumbnail(data: bytes, longest: int) -> bytes:
    """Return a PNG of at most ``longest`` pixels a side, or b"" if this is no picture we show. Blocks."""
    if not may_be_picture(data):
        return b""
    command = [sys.executable, "-I", str(_DECODER), str(longest)]
    try:
        done = subprocess.run(command, input=data, capture_output=True, timeout=_SECONDS, check=False)  # noqa: S603  # our own program
    except (OSError, subprocess.TimeoutExpired):
        return b""
    return done.stdout if done.returncode == 0 else b""
