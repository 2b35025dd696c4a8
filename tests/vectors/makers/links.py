"""Frames between hops."""

from __future__ import annotations

from tests.reference.directory import digests_of, head_signed
from tests.reference.frames import framed
from tests.reference.links import (
    BATCH,
    BEHIND,
    CHUNK,
    OPEN,
    OPENED,
    PREPARE,
    PREPARED,
    REFUSED,
    RESULT,
)
from tests.reference.primitives import ed25519_sign, sha256
from tests.vectors.book import Book
from tests.vectors.makers import world
from tests.vectors.makers.world import flipped

SUITE = "X25519"
FILE = world.chain_file(3)
ENTRIES = [world.entry(name, world.id_of(FILE)) for name in ("alice", "bob")]
ROUND = 75


def numbers(*values: tuple[int, int]) -> bytes:
    """Values with their sizes in bytes."""
    return b"".join(value.to_bytes(size, "big") for value, size in values)


def link_request() -> Book:
    book = Book("PREPARE, OPEN and BATCH in a chain of three hops.")
    name = "prepare"
    before = sha256(b"the announcement before")

    def place(base: int, count: int, setup: int = ROUND - 5) -> bytes:
        return numbers((2400, 4), (ROUND, 8), (setup, 8)) + before + numbers((base, 4), (count, 4))

    start = place(5, 2)
    frame = framed(PREPARE, start + b"".join(ENTRIES))
    book.case(name, "read_link_request", file=FILE, frame=frame)
    book.like("prepare without entries", name, frame=framed(PREPARE, place(7, 0)))
    book.like("prepare a setup", name, frame=framed(PREPARE, place(7, 0, ROUND)))
    shown = book.filler("an announcement", 3758 + 96 * 3)
    book.like("open", name, frame=framed(OPEN, numbers((1920, 4)) + shown))
    batch = framed(BATCH, numbers((2400, 4), (ROUND, 8), (1, 1), (1_000_000, 4)))
    book.like("batch", name, frame=batch)
    for kind, what in ((0, "cells"), (2, "a setup")):
        book.like(
            f"batch of {what}", name, frame=framed(BATCH, numbers((2400, 4), (ROUND, 8), (kind, 1), (7, 4)))
        )
    changes = {
        "prepare: a part of an entry": framed(PREPARE, start + ENTRIES[0]),
        "prepare: 501 entries": framed(PREPARE, place(5, 501) + bytes(501 * 130)),
        "prepare: no fields": framed(PREPARE, start[:-1]),
        "open: a byte missing": framed(OPEN, numbers((1920, 4)) + shown[:-1]),
        "open: of another chain": framed(OPEN, numbers((1920, 4)) + shown[:-96]),
        "open: longer than any announcement": framed(OPEN, numbers((1920, 4)) + shown.ljust(54_245, b"\0")),
        "batch: an unknown kind": flipped(batch, 17, 2),
        "batch: too many": flipped(batch, -1),
        "batch: a byte too many": framed(BATCH, batch[5:] + b"\0"),
        "an answer": framed(OPENED, b""),
        "an unknown kind": framed(10, b""),
        "cut off": frame[:-1],
        "no frame": frame[:4],
    }
    for why, changed in changes.items():
        book.like(f"refused: {why}", name, refused="PeerError", frame=changed)
    return book


def prepared() -> Book:
    book = Book("What hop 1 of three answers to PREPARE: keys for the epoch and signatures under the head.")
    digest = digests_of(world.id_of(FILE), ENTRIES)[-1]

    def answer(hops: tuple[int, ...], *, first: int = 60, liar: int = -1) -> bytes:
        keys = b"".join(world.epoch_key(FILE, SUITE, hop, first, first + 29) for hop in hops)
        signatures = []
        for hop in hops:
            shown = sha256(digest) if hop == liar else digest
            signed = head_signed(world.id_of(FILE), len(ENTRIES), shown)
            signatures.append(ed25519_sign(world.seed(hop), signed))
        return framed(PREPARED, keys + b"".join(signatures))

    name = "prepared"
    frame = answer((1, 2))
    book.case(name, "read_prepared", file=FILE, hop=1, round_number=ROUND, setup_round=60,
              length=len(ENTRIES), digest=digest, frame=frame, indifferent=("round_number",))  # fmt: skip
    own = ("length", "digest", "round_number", "setup_round")
    book.like("behind", name, frame=framed(BEHIND, numbers((1, 4))), indifferent=(*own, "hop"))
    book.like("refused by hop 2", name, frame=framed(REFUSED, b"\x02\x04"), indifferent=(*own, "hop"))
    changes = {
        "a key for another round": {"round_number": 90},
        "a key for another setup": {"setup_round": 61},
        "a key of another range": {"frame": answer((1, 2), first=30)},
        "another head": {"digest": sha256(digest)},
        "another length": {"length": 1},
        "hop 2 signed another head": {"frame": answer((1, 2), liar=2)},
        "the wrong way round": {"frame": answer((2, 1))},
        "another public key": {"frame": flipped(frame, 30)},
    }
    for why, change in changes.items():
        book.like(f"refused: {why}", name, refused="ChainError", **change)
    malformed = {
        "hop 1 alone": answer((1,)),
        "all three": answer((0, 1, 2)),
        "behind, cut off": framed(BEHIND, numbers((1, 3))),
        "hop 0 is blamed": framed(REFUSED, b"\x00\x04"),
        "hop 3 is blamed": framed(REFUSED, b"\x03\x04"),
        "an unknown refusal": framed(REFUSED, b"\x02\x09"),
        "another answer": framed(OPENED, b""),
        "cut off": frame[:-1],
    }
    for why, changed in malformed.items():
        book.like(f"refused: {why}", name, refused="PeerError", frame=changed)
    return book


def link_answer() -> Book:
    book = Book("Answers to OPEN (4) and BATCH (6) by hop 1 of three, and CHUNKs.")
    name = "opened"
    book.case(name, "read_link_answer", file=FILE, hop=1, asked=OPEN, frame=framed(OPENED, b""),
              indifferent=("file", "hop"))  # fmt: skip
    book.like("result", name, asked=BATCH, frame=framed(RESULT, numbers((2048, 4))),
              indifferent=("file", "hop"))  # fmt: skip
    book.like("set up", name, asked=BATCH, frame=framed(RESULT, bytes(4)), indifferent=("file", "hop"))
    for refusal in range(9):
        book.like(f"refused by hop 1 with {refusal}", name, frame=framed(REFUSED, bytes([1, refusal])))
    changes = {
        "opened with a body": framed(OPENED, b"\0"),
        "result to OPEN": framed(RESULT, numbers((2112, 4))),
        "chunk to OPEN": framed(CHUNK, b"data"),
        "hop 0 is blamed": framed(REFUSED, b"\x00\x00"),
        "an unknown refusal": framed(REFUSED, b"\x01\x09"),
    }
    for why, changed in changes.items():
        book.like(f"refused: {why}", name, refused="PeerError", frame=changed)
    book.like("refused: opened to BATCH", name, refused="PeerError", asked=BATCH)
    data = book.filler("onions", 2272)
    book.case("chunk", "read_chunk", frame=framed(CHUNK, data))
    book.like("the longest chunk", "chunk", frame=framed(CHUNK, bytes(262_144)))
    for why, changed in (("empty", b""), ("too long", bytes(262_145))):
        book.like(f"refused: a chunk {why}", "chunk", refused="PeerError", frame=framed(CHUNK, changed))
    return book


FILES = (link_request, prepared, link_answer)
