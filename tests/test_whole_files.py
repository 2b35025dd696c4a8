"""A person's own files: names that fit, nothing left of a save that failed, and no pipes."""

from __future__ import annotations

import os
import threading
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from iirs.client.messenger.file_transfer import NAME_BYTES_MAX, safe_name
from iirs.client.store import whole_files
from iirs.client.store.whole_files import is_ordinary, read_at_most, write_whole
from iirs.errors import AccountError

LONGEST = 255
"""Bytes of a name on the usual file systems."""


def test_a_name_of_any_letters_fits_on_a_disk_and_keeps_its_end(tmp_path: Path) -> None:
    for letter in "aé語🎉":
        name = safe_name(letter * 300 + ".txt")
        assert len(name.encode()) <= NAME_BYTES_MAX
        assert name.endswith(f"{letter}.txt")
        write_whole(tmp_path / name, b"words")
        assert (tmp_path / name).read_bytes() == b"words"
    assert sorted(path.read_bytes() for path in tmp_path.iterdir()) == [b"words"] * 4


@given(st.text())
def test_a_safe_name_stays_as_it_is(name: str) -> None:
    safe = safe_name(name)
    assert 0 < len(safe.encode()) <= NAME_BYTES_MAX
    assert safe_name(safe) == safe


@pytest.mark.parametrize("letter", ["a", "é", "語"])
def test_a_file_can_have_the_longest_name_there_is(letter: str, tmp_path: Path) -> None:
    path = tmp_path / (letter * (LONGEST // len(letter.encode())))
    for data in (b"first", b"second"):
        write_whole(path, data)
        assert path.read_bytes() == data
    assert path.stat().st_mode & 0o777 == 0o600
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize("step", ["write", "replace"])
@pytest.mark.parametrize("before", [None, b"what was there"])
def test_a_save_that_fails_leaves_what_was_there_and_nothing_else(
    step: str, before: bytes | None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "letter"
    if before is not None:
        path.write_bytes(before)

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    if step == "write":
        monkeypatch.setattr(whole_files.os, "fsync", full)
    else:
        monkeypatch.setattr(Path, "replace", full)
    with pytest.raises(OSError, match="No space"):
        write_whole(path, b"new", durable=True)
    assert [item.read_bytes() for item in tmp_path.iterdir()] == ([] if before is None else [before])


def test_the_disk_is_asked_to_have_it_all_only_for_what_must_outlive_a_power_failure(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Saving while one is logged in would hold up the store's commits, and with them uploads."""
    flushed: list[int] = []
    monkeypatch.setattr(whole_files.os, "fsync", flushed.append)
    write_whole(tmp_path / "picture", b"x" * 1000)
    assert flushed == []
    write_whole(tmp_path / "keys", b"x", durable=True)
    assert len(flushed) == 1


def test_a_folder_that_is_not_there_and_a_name_that_is_too_long_leave_nothing(tmp_path: Path) -> None:
    for path in (tmp_path / "nowhere" / "letter", tmp_path / ("a" * (LONGEST + 1)), tmp_path):
        with pytest.raises(OSError):  # noqa: PT011  # each system has its own words
            write_whole(path, b"new")
    assert list(tmp_path.iterdir()) == []


def test_where_a_link_leads_the_link_stays(tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to("letter")
    for data in (b"first", b"second"):
        write_whole(tmp_path / "link", data)
        assert (tmp_path / "letter").read_bytes() == data
    assert (tmp_path / "link").is_symlink()


def test_pipes_devices_and_folders_are_neither_read_nor_replaced(tmp_path: Path) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    (tmp_path / "link").symlink_to("pipe")
    for path in (pipe, tmp_path / "link", Path("/dev/zero")):
        assert not is_ordinary(path)
        with pytest.raises(AccountError, match="no ordinary file"):
            read_at_most(path, 100)
    for path in (pipe, tmp_path / "link"):
        with pytest.raises(AccountError, match="no ordinary file"):
            write_whole(path, b"new")
    assert pipe.is_fifo()
    assert not is_ordinary(tmp_path)
    assert not is_ordinary(tmp_path / "nowhere")
    for folder_or_nothing in (tmp_path, tmp_path / "nowhere"):
        with pytest.raises(OSError):  # noqa: PT011  # each system has its own words
            read_at_most(folder_or_nothing, 100)


def test_a_pipe_that_somebody_writes_to_is_not_read_either(tmp_path: Path) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    writer = threading.Thread(target=lambda: os.close(os.open(pipe, os.O_RDWR)))
    writer.start()
    with pytest.raises(AccountError, match="no ordinary file"):
        read_at_most(pipe, 100)
    writer.join()


@pytest.mark.parametrize(("size", "limit"), [(0, 5), (5, 5), (6, 5), (100_000, 5)])
def test_an_ordinary_file_is_read_up_to_a_limit(size: int, limit: int, tmp_path: Path) -> None:
    path = tmp_path / "letter"
    path.write_bytes(b"a" * size)
    assert is_ordinary(path)
    assert read_at_most(path, limit) == b"a" * min(size, limit)
