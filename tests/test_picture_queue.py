"""Small pictures for a window: what is looked at is made, one after another, and nothing tried in vain."""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from iirs.client.model.picture_queue import WANTED_MAX, Picture, PictureQueue
from iirs.client.pictures.decoder import Task, UndecodedError, Why
from iirs.errors import AccountError, StoreError
from tests.harness import PATIENT_SECONDS
from tests.pictures import png

PIXEL = bytes([0, 1, 0, 1, 9, 8, 7, 255])
GOOD, BAD, TEXT = png("red"), png("blue"), b"no picture"


class SlowDecoder:
    """Decodes when it is told to; ``BAD`` is more than it can take."""

    def __init__(self) -> None:
        self.begun: queue.Queue[bytes] = queue.Queue()
        self.may_end: queue.Queue[bool] = queue.Queue()
        self.stopped = False
        self._busy = threading.Lock()

    def decode(self, task: Task, data: bytes) -> bytes:
        assert self._busy.acquire(blocking=False), "two at once"
        try:
            self.begun.put(data)
            assert self.may_end.get(timeout=PATIENT_SECONDS)
        finally:
            self._busy.release()
        if data == BAD or self.stopped:
            raise UndecodedError(Why.ENDED)
        return PIXEL

    def stop(self) -> None:
        self.stopped = True
        self.may_end.put(True)


class World:
    """A queue of pictures with files of a store, and what was told."""

    def __init__(self, files: dict[bytes, bytes]) -> None:
        self.files = files
        self.read: list[bytes] = []
        self.told: queue.Queue[Picture] = queue.Queue()
        self.decoder = SlowDecoder()
        self.messenger = self
        self.pictures = PictureQueue(self.call, self.told.put, self.decoder)  # type: ignore[arg-type]

    def call(self, function: Callable[[Any], None]) -> None:
        function(self)

    def read_file(self, file_id: bytes) -> bytes:
        self.read.append(file_id)
        if file_id == b"damaged":
            raise StoreError("a page is damaged")
        if file_id not in self.files:
            raise AccountError("gone")
        return self.files[file_id]

    def next_told(self) -> Picture:
        return self.told.get(timeout=PATIENT_SECONDS)

    def let_end(self) -> None:
        self.decoder.begun.get(timeout=PATIENT_SECONDS)
        self.decoder.may_end.put(True)


@pytest.fixture
def world() -> Iterator[World]:
    made = World({b"%d" % number: GOOD for number in range(1000)} | {b"bad": BAD, b"text": TEXT})
    yield made
    made.pictures.stop()


def test_pictures_are_made_in_the_order_of_the_window(world: World) -> None:
    world.pictures.want([b"1", b"2", b"3"], 10)
    for file_id in (b"1", b"2", b"3"):
        world.let_end()
        told = world.next_told()
        assert (told.file_id, told.refused) == (file_id, False)
        assert told.png.startswith(b"\x89PNG")
    world.pictures.want([b"4"], 10)
    world.let_end()
    assert world.next_told().file_id == b"4"


def test_what_is_not_looked_at_any_more_is_not_made(world: World) -> None:
    world.pictures.want([b"1", b"2", b"3"], 10)
    world.pictures.want([b"3"], 10)
    world.let_end()
    assert world.next_told().file_id == b"1"
    world.let_end()
    assert world.next_told().file_id == b"3"
    assert world.read == [b"1", b"3"]
    world.pictures.want([b"4", b"5"], 10)
    world.pictures.want([], 10)
    world.let_end()
    assert world.next_told().file_id == b"4"
    assert world.told.empty()


def test_however_many_are_wanted_few_wait_and_one_is_in_memory(world: World) -> None:
    world.pictures.want([b"%d" % number for number in range(1000)], 10)
    world.pictures.want([b"%d" % number for number in range(1000)], 10)
    assert world.read == [b"0"]
    for _ in range(WANTED_MAX + 1):
        world.let_end()
        world.next_told()
    assert len(world.read) == WANTED_MAX + 1
    assert len(set(world.read)) == len(world.read)


def test_what_was_refused_is_said_again_and_not_tried_again(world: World) -> None:
    world.pictures.want([b"bad", b"1"], 10)
    world.let_end()
    refused = Picture(b"bad", b"", refused=True)
    assert world.next_told() == refused
    world.let_end()
    assert world.next_told().file_id == b"1"
    for _ in range(3):
        world.pictures.want([b"bad"], 10)
        assert world.next_told() == refused
    assert world.read == [b"bad", b"1"]


def test_what_is_no_picture_or_has_gone_is_no_refusal(world: World) -> None:
    world.pictures.want([b"text", b"gone"], 10)
    assert [world.next_told(), world.next_told()] == [Picture(b"text", b""), Picture(b"gone", b"")]
    assert world.decoder.begun.empty()


def test_the_end_of_a_session_ends_the_picture_at_work_and_those_that_wait(world: World) -> None:
    world.pictures.want([b"1", b"2"], 10)
    assert world.decoder.begun.get(timeout=PATIENT_SECONDS) == GOOD
    world.pictures.stop()
    assert world.decoder.stopped
    assert world.next_told() == Picture(b"1", b"")  # stopped, not refused
    world.pictures.want([b"3"], 10)
    assert world.read == [b"1"]


def test_a_store_that_cannot_be_read_is_said_and_the_next_picture_made(world: World) -> None:
    with pytest.raises(StoreError):  # to whoever owns the store: ``BackgroundWork`` says it
        world.pictures.want([b"damaged", b"1"], 10)
    assert world.next_told() == Picture(b"damaged", b"")
    world.let_end()
    assert world.next_told().file_id == b"1"
