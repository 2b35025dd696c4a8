"""A person's own files: read only if they are ordinary ones, written whole or not at all."""

from __future__ import annotations

import errno
import os
import stat
import tempfile
from pathlib import Path

from iirs.errors import AccountError


def read_at_most(path: Path, size: int) -> bytes:
    """Return the first ``size`` bytes of a file, or all if it has fewer.

    Raises ``AccountError`` if it is a pipe or a device, which might never end; ``OSError`` if it cannot be
    read.
    """
    # Not to wait for who writes to a pipe. What is no pipe is read as usual.
    descriptor = os.open(path, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0))
    with open(descriptor, "rb") as file:  # a descriptor
        _check_ordinary(os.fstat(descriptor).st_mode)
        return file.read(size)


def write_whole(path: Path, data: bytes, *, durable: bool = False) -> None:
    """Put a file in its place once all of it is written; only the person may read it.

    ``durable``: it is on the disk on return, for what must outlive a power failure. To save a large file that
    way while one is logged in would hold up the store's commits, and with them uploads.

    What was there before stays until then, and where a link leads the link stays. Raises ``AccountError`` if
    a pipe or a device is there; ``OSError`` if it cannot be written, and then leaves nothing.
    """
    place = Path(os.path.realpath(path))
    if place.exists():
        _check_ordinary(place.stat().st_mode)
    descriptor, name = tempfile.mkstemp(prefix=".iirs-", dir=place.parent)  # a name that fits on any disk
    try:
        with open(descriptor, "wb") as file:  # a descriptor
            file.write(data)
            file.flush()
            if durable:
                os.fsync(descriptor)
        Path(name).replace(place)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise


def is_ordinary(path: Path) -> bool:
    """Return whether there is a file that can be read and sent: no folder, pipe or device."""
    try:
        return stat.S_ISREG(path.stat().st_mode)
    except OSError:
        return False


def _check_ordinary(mode: int) -> None:
    if stat.S_ISDIR(mode):
        raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR))
    if not stat.S_ISREG(mode):
        raise AccountError("This is no ordinary file: pipes and devices are neither sent nor written to.")
