"""What is said in a round: announcement, upload, replies, standby, bundle."""

from __future__ import annotations

from tests.reference.frames import (
    ANNOUNCE,
    BUNDLE,
    INVITE,
    REPLIES,
    SETUP,
    STANDBY,
    UPLOAD,
    framed,
)
from tests.reference.primitives import ed25519_sign, sha256
from tests.reference.rounds import announcement_hash, bundle_signed, room_for
from tests.vectors.book import Book
from tests.vectors.makers import world
from tests.vectors.makers.world import flipped

FILE = world.chain_file(2)
HOPS = 2
ROUND = 850_000_007
SETUP_ROUND = 850_000_003
HEAD = 6 + 60 + 32 * HOPS
"""Where the head begins in an ANNOUNCE."""


def announcement(
    book: Book,
    entries: list[bytes],
    prekeys: int,
    flags: int = 0,
    *,
    previous: bytes = sha256(b"an announcement"),
    number: int = ROUND,
    setup: int = SETUP_ROUND,
) -> bytes:
    """An ANNOUNCEMENT whose increment is these entries and so many prekeys."""
    everybody = [world.entry(name, world.id_of(FILE)) for name in ("alice", "bob")]
    records = [book.filler(f"prekey {place}", 1292) for place in range(prekeys)]
    numbers = ((3, 1), (number, 8), (setup, 8), (flags, 1), (1_950, 4), (5, 2), (3, 4))
    return b"".join(
        [
            previous,
            *(value.to_bytes(size, "big") for value, size in numbers),
            *(sha256(b"epoch key %d" % hop) for hop in range(HOPS)),
            world.head(FILE, HOPS, everybody),
            max(0, 2 - len(entries)).to_bytes(4, "big") + bytes([len(entries)]),
            b"".join(entries).ljust(room_for(len(entries), 8, 255) * 130, b"\0"),
            bytes([prekeys]) + b"".join(records).ljust(room_for(prekeys, 2, 16) * 1292, b"\0"),
            sha256(b"a bundle") if flags else bytes(32),
        ]
    )


def announce() -> Book:
    book = Book("ANNOUNCE in a chain of two hops, with the announcement hash that enters every layer.")
    bob = world.entry("bob", world.id_of(FILE))
    frame = framed(ANNOUNCE, b"\x03" + announcement(book, [bob], 1))
    book.case("one entry, one prekey", "read_announce", file=FILE, frame=frame)
    name = "nothing new"
    frame = framed(ANNOUNCE, b"\0" + announcement(book, [], 0))
    book.case(name, "read_announce", file=FILE, frame=frame)
    with_bundle = framed(ANNOUNCE, b"\0" + announcement(book, [], 2, flags=1))
    book.case("two prekeys, invitations, after a bundle", "read_announce", file=FILE, frame=with_bundle)
    changes = {
        "a bit of the notice that means nothing": flipped(frame, 5, 8),
        "another version": flipped(frame, 38),
        "a flag that means nothing": flipped(frame, 55, 2),
        "nine entries": flipped(frame, HEAD + 36 + 64 * HOPS + 4, 9),
        "three prekeys": flipped(frame, HEAD + 36 + 64 * HOPS + 5 + 1040, 3),
        "something behind the entries": flipped(frame, HEAD + 36 + 64 * HOPS + 5 + 1039),
        "something behind the prekeys": flipped(frame, -33),
        "a byte missing": framed(ANNOUNCE, frame[5:-1]),
        "cut off": frame[:-1],
    }
    for why, changed in changes.items():
        book.like(f"refused: {why}", name, refused="PeerError", frame=changed)
    counted = book.given("one entry, one prekey")["frame"]
    for why, place in {
        "something right behind one entry": HEAD + 36 + 64 * HOPS + 5 + 130,
        "something right behind one prekey": HEAD + 36 + 64 * HOPS + 5 + 1040 + 1 + 1292,
    }.items():
        book.like(f"refused: {why}", "one entry, one prekey", refused="PeerError",
                  frame=flipped(counted, place))  # fmt: skip
    unsigned = flipped(frame, HEAD + 40)
    book.like("refused: a head that is not signed", name, refused="ChainError", frame=unsigned)
    book.like("refused: of a longer chain", name, refused="PeerError", file=world.chain_file(3))
    return book


def history() -> Book:
    book = Book(
        "An ANNOUNCE right after another in a session: it names its hash, and the same epoch or its own."
    )
    first = announcement(book, [], 0)
    previous = announcement_hash(first)

    def after(number: int, setup: int, before: bytes = previous) -> bytes:
        return framed(
            ANNOUNCE, b"\0" + announcement(book, [], 0, previous=before, number=number, setup=setup)
        )

    name = "the next of the epoch"
    shown = framed(ANNOUNCE, b"\0" + first)
    frame = after(ROUND + 1, SETUP_ROUND)
    # Its other fields do not count here, so only the frame before may not change.
    book.case(name, "follow", file=FILE, first=shown, frame=frame, indifferent=("frame",))
    book.like(
        "the last of the epoch", name, frame=after(SETUP_ROUND + 29, SETUP_ROUND), indifferent=("frame",)
    )
    book.like("a setup", name, frame=after(ROUND + 1, ROUND + 1), indifferent=("frame",))
    begun = framed(ANNOUNCE, b"\0" + announcement(book, [], 0, number=SETUP_ROUND + 29))
    for why, change in {
        "after nothing": after(ROUND + 1, SETUP_ROUND, bytes(32)),
        "after another": after(ROUND + 1, SETUP_ROUND, sha256(previous)),
        "a setup after another": after(ROUND + 1, ROUND + 1, sha256(previous)),
    }.items():
        book.like(f"refused: {why}", name, refused="ChainError", frame=change)
    for why, change in {
        "beyond the epoch": after(SETUP_ROUND + 30, SETUP_ROUND),
        "of an epoch to come": after(ROUND + 1, ROUND + 2),
        "of an epoch before": after(ROUND + 1, SETUP_ROUND - 1),
        "of an epoch that nobody saw begin": after(ROUND + 1, ROUND),
    }.items():
        book.like(f"refused: {why}", name, refused="PeerError", frame=change)
    late = framed(ANNOUNCE, b"\0" + announcement(book, [], 0, number=SETUP_ROUND + 30))
    book.like("refused: one that is beyond its own epoch", name, refused="PeerError", first=late)
    book.like("after the last of the epoch, a setup", name, first=begun, indifferent=("frame",),
              frame=after(SETUP_ROUND + 30, SETUP_ROUND + 30, announcement_hash(begun[6:])))  # fmt: skip
    return book


def announce_grown() -> Book:
    book = Book("ANNOUNCE where more wait than every announcement has room for.")
    many = [book.filler(f"entry {place}", 130) for place in range(17)]
    for entries, prekeys in ((9, 0), (0, 3), (17, 9)):
        grown = framed(ANNOUNCE, b"\0" + announcement(book, many[:entries], prekeys))
        book.case(f"{entries} entries, {prekeys} prekeys", "read_announce", file=FILE, frame=grown)
    nine = book.given("9 entries, 0 prekeys")["frame"]
    for why, changed in {
        "more room than nine entries need": framed(ANNOUNCE, nine[5:-32] + bytes(16 * 130) + nine[-32:]),
        "less room than nine entries need": framed(ANNOUNCE, nine[5 : -32 - 130] + nine[-32:]),
        "eight entries with the room for nine": flipped(nine, HEAD + 36 + 64 * HOPS + 4, 1),
        "something behind nine entries": flipped(nine, HEAD + 36 + 64 * HOPS + 5 + 16 * 130 - 1),
        "seventeen prekeys": flipped(nine, HEAD + 36 + 64 * HOPS + 5 + 16 * 130, 17),
    }.items():
        book.like(f"refused: {why}", "9 entries, 0 prekeys", refused="PeerError", frame=changed)
    return book


def upload() -> Book:
    book = Book("UPLOAD in a chain of two hops with one slot, with what an errand may say.")
    cells = b"".join(book.filler(f"cell {place}", 1040) for place in range(2))
    start, nothing = ROUND.to_bytes(8, "big"), bytes(93)
    name = "a plain round"
    frame = framed(UPLOAD, start + nothing + cells)
    book.case(name, "read_upload", file=FILE, frame=frame)
    password = b"\x01" + sha256(b"login secret") + book.filler("a vault", 60)
    book.case("a new password", "read_upload", file=FILE, frame=framed(UPLOAD, start + password + cells))
    delete = b"\x02" + bytes(92)
    book.case("a deletion", "read_upload", file=FILE, frame=framed(UPLOAD, start + delete + cells))
    changes = {
        "an unknown errand": flipped(frame, 13, 3),
        "a login secret without an errand": flipped(frame, 14),
        "a vault without an errand": flipped(frame, 5 + 8 + 92),
        "a vault with a deletion": framed(UPLOAD, start + flipped(delete, 92) + cells),
        "a cell too few": framed(UPLOAD, start + nothing + cells[:1040]),
        "a cell a byte longer": framed(UPLOAD, start + nothing + cells + b"\0"),
        "another kind of message": framed(REPLIES, start + nothing + cells),
        "two uploads": frame + frame,
        "cut off": frame[:-1],
        "no frame": frame[:4],
    }
    for why, changed in changes.items():
        book.like(f"refused: {why}", name, refused="PeerError", frame=changed)
    book.like("refused: of two slots", name, refused="PeerError", file=world.chain_file(2, slots=2))
    return book


def upload_onions() -> Book:
    book = Book("SETUP and INVITE before UPLOAD, in one write: a chain of two hops with one slot.")
    start = ROUND.to_bytes(8, "big")
    onions = b"".join(book.filler(f"setup onion {place}", 112) for place in range(2))
    posted, cells = book.filler("invitation onion", 1552), book.filler("two cells", 2080)
    setup, invite = framed(SETUP, start + onions), framed(INVITE, start + posted)
    frame = framed(UPLOAD, start + bytes(93) + cells)
    for what, before in {"invitations": invite, "a setup": setup, "both": setup + invite}.items():
        book.case(what, "read_upload", file=FILE, frame=before + frame)
    other = flipped(start, 7)
    changes = {
        "invitations in UPLOAD": framed(UPLOAD, frame[5:] + posted),
        "a setup after the cells": frame + setup,
        "a setup after the invitations": invite + setup + frame,
        "two setups": setup + setup + frame,
        "two uploads": setup + frame + frame,
        "a setup alone": setup,
        "a setup of another round": framed(SETUP, other + onions) + frame,
        "invitations of another round": framed(INVITE, other + posted) + frame,
        "a setup onion too few": framed(SETUP, start + onions[:112]) + frame,
        "a setup onion too many": framed(SETUP, start + onions + onions[:112]) + frame,
        "an invitation a byte longer": framed(INVITE, start + posted + b"\0") + frame,
        "another kind of message": framed(REPLIES, start + onions) + frame,
        "cut off": (setup + frame)[:-1],
    }
    for why, changed in changes.items():
        book.like(f"refused: {why}", "a setup", refused="PeerError", frame=changed)
    book.like("refused: of two slots", "a setup", refused="PeerError", file=world.chain_file(2, slots=2))
    return book


def replies() -> Book:
    book = Book("REPLIES and STANDBY in a chain of two hops with one slot.")
    sealed = b"".join(book.filler(f"cell {place}", 1040) for place in range(2))
    start = ROUND.to_bytes(8, "big")
    for status, what in enumerate(("done", "lost", "missing", "no circuits")):
        frame = framed(REPLIES, start + bytes([status]) + sealed)
        book.case(what, "read_replies", file=FILE, frame=frame)
    changes = {
        "an unknown status": flipped(frame, 13, 7),
        "a cell too many": framed(REPLIES, frame[5:] + sealed[:1040]),
        "a byte missing": framed(REPLIES, frame[5:-1]),
        "another kind of message": flipped(frame, 0),
    }
    for why, changed in changes.items():
        book.like(f"refused: replies with {why}", "missing", refused="PeerError", frame=changed)
    book.case("standby: hop 1", "read_standby", file=FILE, frame=framed(STANDBY, b"\x01"))
    book.like("standby: not known", "standby: hop 1", frame=framed(STANDBY, b"\xff"))
    for hop in (0, 2, 254):
        book.like(f"refused: standby for hop {hop}", "standby: hop 1", refused="PeerError",
                  frame=framed(STANDBY, bytes([hop])))  # fmt: skip
    book.like("refused: standby for two", "standby: hop 1", refused="PeerError",
              frame=framed(STANDBY, b"\x01\x01"))  # fmt: skip
    return book


def bundle() -> Book:
    book = Book("BUNDLE, signed by the last of two hops; its digest is what the next announcement names.")
    posted = sorted(book.filler(f"invitation {place}", 1456) for place in range(8))
    name = "eight invitations"

    def bundled(count: int, signer: int = 1, number: int = ROUND, label: int = ROUND) -> bytes:
        invitations = b"".join(posted[:count])
        signature = ed25519_sign(world.seed(signer), bundle_signed(world.id_of(FILE), label, invitations))
        start = number.to_bytes(8, "big") + count.to_bytes(4, "big")
        return framed(BUNDLE, start + invitations + signature)

    frame = bundled(8)
    book.case(name, "read_bundle", file=FILE, frame=frame)
    other = bundled(8)[:17] + b"".join(posted[::-1]) + frame[-64:]
    unsigned = {
        "signed by hop 0": bundled(8, signer=0),
        "of another round than signed": bundled(8, number=ROUND + 1),
        "in another order than signed": other,
        "with another invitation": flipped(frame, 100),
        "with another signature": flipped(frame, -1),
    }
    for why, changed in unsigned.items():
        book.like(f"refused: {why}", name, refused="ChainError", frame=changed)
    short = {
        "with more announced": flipped(frame, 16, 1),
        "with fewer announced": framed(BUNDLE, flipped(frame[5:], 11, 15)),
        "without a signature": framed(BUNDLE, frame[5:-64]),
        "of nothing": framed(BUNDLE, b""),
    }
    for why, changed in short.items():
        book.like(f"refused: {why}", name, refused="PeerError", frame=changed)
    return book


FILES = (announce, announce_grown, history, upload, upload_onions, replies, bundle)
