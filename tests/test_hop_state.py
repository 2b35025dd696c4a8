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
from iirs.server.hops.hop_state import HopState, Setups, Witnessed

CHAIN_ID = bytes(range(32))
ENTRIES = [bytes([number]) * ENTRY_SIZE for number in range(3)]


def values(state: HopState) -> tuple[dict[BatchKind, int], int, Witnessed, Setups]:
    return state.rounds, state.announced, state.witnessed, state.setups


def test_what_was_set_is_there_after_a_restart(tmp_path: Path) -> None:
    state = HopState(tmp_path, CHAIN_ID)
    rounds = {BatchKind.SETUP: -1, BatchKind.INVITATION: -1}
    assert values(state) == (rounds, -1, Witnessed(0, Directory(CHAIN_ID).digests[0]), Setups(3.0, 0.0))
    state.set_announced(8)
    state.note_setup(7, 1.25, 1_700_000_000.5)
    state.set_round(5, BatchKind.INVITATION)
    state.extend(ENTRIES[:2])
    state.extend(ENTRIES[2:])
    assert values(HopState(tmp_path, CHAIN_ID)) == values(state)
    assert state.rounds == {BatchKind.SETUP: 7, BatchKind.INVITATION: 5}
    assert state.setups == Setups(1.25, 1_700_000_000.5)
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
            lambda: state.set_round(7, BatchKind.INVITATION),
            lambda: state.note_setup(7, 1.0, 5.0),
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
        {"rounds": {"SETUP": "x", "INVITATION": 1}},
        {"rounds": {"SETUP": None, "INVITATION": 1}},
        {"rounds": {"INVITATION": 1}},
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


@pytest.mark.parametrize(
    "setups",
    [[-1.0, 0.0], [3.1, 0.0], [math.nan, 0.0], [1.0, math.inf], [1.0], [1.0, 0.0, 0.0], ["x", 0.0], None],
)
def test_a_damaged_ration_is_refused(tmp_path: Path, setups: object) -> None:
    HopState(tmp_path, CHAIN_ID).note_setup(7, 0.0, 5.0)
    path = tmp_path / "hop.json"
    whole = json.loads(path.read_text())
    path.write_text(json.dumps({**whole, "setups": setups}))
    with pytest.raises(ConfigError, match=r"hop.json in the data directory is damaged"):
        HopState(tmp_path, CHAIN_ID)
    path.write_text(json.dumps(whole))
    assert HopState(tmp_path, CHAIN_ID).setups == Setups(0.0, 5.0)


def test_a_file_of_the_former_version_is_taken_over(tmp_path: Path) -> None:
    """Of the batches that a setup takes the place of, the last round; and a ration that is whole."""
    HopState(tmp_path, CHAIN_ID).set_announced(8)
    path = tmp_path / "hop.json"
    table = json.loads(path.read_text())
    del table["setups"]
    path.write_text(json.dumps({**table, "rounds": {"CONVERSATION": 7, "INVITATION": 5}}))
    state = HopState(tmp_path, CHAIN_ID)
    assert state.rounds == {BatchKind.SETUP: 7, BatchKind.INVITATION: 5}
    assert state.setups == Setups(3.0, 0.0)


def test_rounds_that_are_forgotten_leave_the_ration_as_it_is(tmp_path: Path) -> None:
    """Else whoever asks for that would have three setups at once each time."""
    state = HopState(tmp_path, CHAIN_ID)
    state.note_setup(7, 0.5, 5.0)
    state.forget_rounds()
    assert HopState(tmp_path, CHAIN_ID).setups == Setups(0.5, 5.0)
    assert state.rounds == {BatchKind.SETUP: -1, BatchKind.INVITATION: -1}


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
    state.set_round(2**63, BatchKind.SETUP)
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
