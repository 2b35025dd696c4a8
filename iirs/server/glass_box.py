"""The glass box: what one hop sees, written to a file for teachers, demonstrations and tests.

Access counts are what the whole system hides from everybody but the last hop, so this is never on unless
asked for, and says so when it is.
"""

from __future__ import annotations

import json
import os
import threading
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType

from iirs.errors import ConfigError
from iirs.server.mix_stage import StageView


class GlassBox:
    """Writes one line of JSON for each batch, at once. Safe from any thread."""

    def __init__(self, path: Path, hop: int) -> None:
        """Raises ``ConfigError`` if the file cannot be written."""
        try:
            descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
            self._file = os.fdopen(descriptor, "w", encoding="ascii")
        except OSError as error:
            raise ConfigError("The glass box's file cannot be written: check --glass-box.") from error
        self._hop = hop
        self._lock = threading.Lock()
        self.warning = (
            "GLASS BOX: what this server sees, access counts included, is written to a file. "
            "For lessons and tests; nobody should rely on this chain while it is on"
        )

    def __enter__(self) -> GlassBox:
        """Return itself; the file is closed at the end of the block."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close the file."""
        with self._lock:
            self._file.close()

    def stage(self, view: StageView) -> None:
        """Take down what this hop mixed."""
        self._write(
            {
                "round": view.round_number,
                "batch": view.kind.name.lower(),
                "arrived": view.arrived,
                "mixed": view.mixed,
                "noise": view.noise,
            }
        )

    def drops(self, histogram: Counter[int], _: Sequence[bytes]) -> None:
        """Take down, at the last hop, how many dead drops were accessed how often."""
        self._write({"accesses": {str(times): drops for times, drops in sorted(histogram.items())}})

    def _write(self, record: dict[str, object]) -> None:
        line = json.dumps({"hop": self._hop, **record})
        with self._lock:
            if not self._file.closed:
                self._file.write(line + "\n")
                self._file.flush()
