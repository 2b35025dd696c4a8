"""What a later hop remembers is on disk before it counts, and a damaged file is never guessed at."""

from __future__ import annotations

import errno
import json
import math
import os
from pathlib import Path

import pytest

from iirs.directory import Directory
from iirs.errors import ConfigError, StoreError
from iirs.geometry import ENTRY_SIZE, BatchKind
from iirs.server.hops.hop_state import HopState, Witnessed

CHAIN_ID = bytes(range(32))
ENTRIES = [bytes([number]) * ENTRY_SIZE for number in range(3)]


def values(state: HopState) -> tuple[dict[BatchKind, int], int, Witnessed]:
    return state.rounds, state.announced, state.witnessed


def test_what_was_set_is_there_after_a_restart(tmp_path: Path) -> None:
    state = HopState(tmp_path, CHAIN_ID)
    assert values(state) == (dict.fromkeys(BatchKind, -1), -1, Witnessed(0, Directory(CHAIN_ID).digests[0]))
    state.set_announced(8)
    state.set_round(7, BatchKind.CONVERSATION)
    state.set_round(5, BatchKind.INVITATION)
    state.extend(ENTRIES[:2])
    state.extend(ENTRIES[2:])
    assert values(HopState(tmp_path, CHAIN_ID)) == values(state)
    assert state.rounds == {BatchKind.CONVERSATION: 7, BatchKind.INVITATION: 5}
    assert (state.announced, state.witnessed.length) == (8, 3)
    assert (tmp_path / "hop.json").stat().st_mode & 0o077 == 0


def test_in_memory_nothing_is_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    state = HopState(None, CHAIN_ID)
    state.set_announced(8)
    state.extend(ENTRIES)
    assert (state.announced, state.witnessed.length) == (8, 3)
    assert list(tmp_path.iterdir()) == []


def test_what_cannot_be_written_has_not_happened(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Fixed: it counted until the next restart, which could then sign another directory of that length."""
    state = HopState(tmp_path, CHAIN_ID)
    state.extend(ENTRIES[:1])
    before = values(state)

    def full(descriptor: int) -> None:
        raise OSError("no space left")

    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", full)
        for change in (
            lambda: state.set_announced(8),
            lambda: state.set_round(7, BatchKind.CONVERSATION),
            lambda: state.extend(ENTRIES[1:]),
        ):
            with pytest.raises(StoreError, match="cannot be written, so no round is run"):
                change()
            assert values(state) == before == values(HopState(tmp_path, CHAIN_ID))
    state.extend(ENTRIES[1:])
    assert values(HopState(tmp_path, CHAIN_ID)) == values(state) != before


@pytest.mark.parametrize(
    "change",
    [
        {"chain": bytes(32).hex()},
        {"chain": "zz"},
        {"chain": None},
        {"rounds": {}},
        {"rounds": {"CONVERSATION": "x", "INVITATION": 1}},
        {"announced": None},
        {"digest": "00"},
        {"length": "x"},
        {"length": math.inf},
    ],
    ids=str,
)
def test_a_damaged_file_is_refused(tmp_path: Path, change: dict[str, object]) -> None:
    HopState(tmp_path, CHAIN_ID).set_announced(8)
    path = tmp_path / "hop.json"
    whole = json.loads(path.read_text())
    for table in ({**whole, **change}, {key: whole[key] for key in whole if key not in change}, [], None):
        path.write_text(json.dumps(table))
        with pytest.raises(ConfigError, match=r"hop.json in the data directory is damaged"):
            HopState(tmp_path, CHAIN_ID)
    path.write_text("[" * 100_000)  # deeper than any parser follows
    with pytest.raises(ConfigError, match=r"hop.json in the data directory is damaged"):
        HopState(tmp_path, CHAIN_ID)
    path.write_text(json.dumps(whole))
    assert HopState(tmp_path, CHAIN_ID).announced == 8


def _refuse_new_files(patch: pytest.MonkeyPatch, number: int) -> None:
    honest = os.open

    def full(path: object, flags: int, *mode: int) -> int:
        if flags & os.O_CREAT:
            raise OSError(number, os.strerror(number))
        return honest(path, flags, *mode)  # type: ignore[arg-type]

    patch.setattr(os, "open", full)


def test_a_full_disk_stops_no_round(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Fixed: no round ran until there was room for a second copy of half a kilobyte."""
    state = HopState(tmp_path, CHAIN_ID)
    state.set_announced(8)
    size = (tmp_path / "hop.json").stat().st_size
    _refuse_new_files(monkeypatch, errno.ENOSPC)
    state.set_announced(2**63)
    state.set_round(2**63, BatchKind.CONVERSATION)
    state.extend(ENTRIES)
    assert values(HopState(tmp_path, CHAIN_ID)) == values(state)
    assert (tmp_path / "hop.json").stat().st_size == size


@pytest.mark.parametrize("number", [errno.EROFS, errno.ENOSPC])
def test_what_is_not_there_yet_or_may_not_be_written_is_not_written_in_place(
    number: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    state = HopState(tmp_path, CHAIN_ID)
    if number != errno.ENOSPC:
        state.set_announced(7)
    before = values(state)
    _refuse_new_files(monkeypatch, number)
    with pytest.raises(StoreError):
        state.set_announced(8)
    assert values(state) == before == values(HopState(tmp_path, CHAIN_ID))


def test_what_cannot_be_written_in_place_either_has_not_happened(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    state = HopState(tmp_path, CHAIN_ID)
    state.set_announced(7)
    before, whole = values(state), (tmp_path / "hop.json").read_bytes()

    def full(descriptor: int) -> None:
        raise OSError(errno.ENOSPC, "no space left")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(StoreError):
        state.extend(ENTRIES)
    assert values(state) == before
    assert (tmp_path / "hop.json").read_bytes() == whole
