"""``LogPictures``: the small pictures of a log's files, asked for while their rows are in view."""

from __future__ import annotations

import tkinter as tk
from collections.abc import Callable, Sequence

from iirs.client.model.picture_queue import Picture
from iirs.client.model.talk import Row
from iirs.client.store.log_entry import TransferState

KEPT_MAX = 100
"""A peer can send thousands, and each takes up to some MB: of those out of view only so many stay."""


class LogPictures:
    """Calls ``ask`` with all files in view whose pictures are missing, whenever these are others than before.

    So what waits is never more than a view full, what is scrolled away is not waited for, and what is no
    picture, or was refused, is asked for once.
    """

    def __init__(self, master: tk.Misc) -> None:
        self.ask: Callable[[Sequence[bytes]], None] = lambda files: None
        self._master = master
        self.clear()

    def clear(self) -> None:
        """Begin with another talk: nothing is known, and nothing asked for."""
        self._images: dict[bytes, tk.PhotoImage] = {}
        self._sizes: dict[bytes, tuple[int, int]] = {}
        self._without: dict[bytes, bool] = {}  # whether it was refused
        self._in_view: set[bytes] = set()
        self._asked: list[bytes] = []

    def look_for(self, rows: Sequence[Row]) -> None:
        """Ask for what is missing in these rows, which are in view; () if none is any more."""
        here = [row.file.file_id for row in rows if row.file is not None and _is_here(row)]
        self._in_view = set(here)
        wanted = [file_id for file_id in here if file_id not in self._images and file_id not in self._without]
        if wanted != self._asked:
            self._asked = wanted
            self.ask(wanted)

    def take(self, picture: Picture) -> bool:
        """Keep a picture; False if there is none, so that the file stays what it looks like now."""
        if not picture.png:
            self._without[picture.file_id] = picture.refused
            return picture.refused
        image = tk.PhotoImage(master=self._master, data=picture.png, format="png")
        self._images.pop(picture.file_id, None)
        self._images[picture.file_id] = image
        self._sizes[picture.file_id] = image.width(), image.height()
        out_of_view = [file_id for file_id in self._images if file_id not in self._in_view]
        for file_id in out_of_view[: max(0, len(self._images) - KEPT_MAX)]:
            del self._images[file_id]
        return True

    def of(self, row: Row) -> tk.PhotoImage | None:
        """Return the picture of a row's file, if it is there."""
        return None if row.file is None else self._images.get(row.file.file_id)

    def size_of(self, row: Row) -> tuple[int, int] | None:
        """Return width and height of a row's picture in pixels, once they are known."""
        return None if row.file is None else self._sizes.get(row.file.file_id)

    def was_refused(self, row: Row) -> bool:
        """Whether a row's file is a picture that could not be read."""
        return row.file is not None and self._without.get(row.file.file_id, False)


def _is_here(row: Row) -> bool:
    return row.outgoing or row.transfer is TransferState.DONE
