"""``PictureQueue``: small pictures of files that are here, made one after another of what is wanted now."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field

from iirs.client.engine import Engine
from iirs.client.pictures.decoder import Decoder
from iirs.client.pictures.thumbnails import may_be_picture, thumbnail
from iirs.errors import AccountError

WANTED_MAX = 64
"""More files than a window shows at once; what is beyond is asked for again when it is looked at."""


@dataclass(frozen=True, slots=True)
class Picture:
    """A file as a small picture, PNG; b"" if it is none."""

    file_id: bytes
    png: bytes = field(repr=False)
    refused: bool = False
    """It is stored as a picture, but could not be read within the bounds."""


class PictureQueue:
    """All methods return at once; ``tell`` is called from other threads.

    Of each picture only the file's id waits: its bytes are read when its turn comes, by the thread that owns
    the store, while no upload is near. What was refused once is not tried again.
    """

    def __init__(
        self,
        call: Callable[[Callable[[Engine], None]], None],
        tell: Callable[[Picture], None],
        decoder: Decoder | None = None,
    ) -> None:
        """``call`` has something done by the thread that owns the store, and says where that fails."""
        self._call = call
        self._tell = tell
        self._decoder = decoder or Decoder()
        self._changing = threading.Lock()
        self._wanted: list[bytes] = []
        self._longest = 0
        self._at_work_on: bytes | None = None
        self._refused: set[bytes] = set()
        self._over = False

    def want(self, files: Sequence[bytes], longest: int) -> None:
        """Have pictures of these files, in this order, at most ``longest`` pixels a side; of no others."""
        with self._changing:
            refused = [file_id for file_id in files if file_id in self._refused]
            waiting = [file_id for file_id in files if file_id not in {*refused, self._at_work_on}]
            self._wanted, self._longest = waiting[:WANTED_MAX], longest
            is_idle = self._at_work_on is None
        for file_id in refused:
            self._tell(Picture(file_id, b"", refused=True))
        if is_idle:
            self._go_on()

    def stop(self) -> None:
        """Make none any more, and end the process that is at one."""
        with self._changing:
            self._over = True
        self._decoder.stop()

    def _go_on(self) -> None:
        with self._changing:
            if self._over or not self._wanted:
                self._at_work_on = None
                return
            file_id, longest = self._wanted.pop(0), self._longest
            self._at_work_on = file_id
        self._call(lambda engine: self._read(engine, file_id, longest))

    def _read(self, engine: Engine, file_id: bytes, longest: int) -> None:
        data = b""
        try:
            with suppress(AccountError):  # it has gone meanwhile
                data = engine.messenger.read_file(file_id)
        finally:
            arguments = file_id, data, longest
            threading.Thread(target=self._make, args=arguments, name="iirs-picture", daemon=True).start()

    def _make(self, file_id: bytes, data: bytes, longest: int) -> None:
        png = b""
        try:
            png = thumbnail(data, longest, self._decoder)
        finally:
            refused = not png and may_be_picture(data) and not self._over
            with self._changing:
                if refused:
                    self._refused.add(file_id)
            self._tell(Picture(file_id, png, refused))
            self._go_on()
