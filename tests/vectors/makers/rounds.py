"""What is said in a round: announcement, upload, replies, standby, bundle."""

from __future__ import annotations

from tests.reference.frames import (
    ANNOUNCE,
    BUNDLE,
    REPLIES,
    STANDBY,
    UPLOAD,
    UPLOAD_INVITE,
    framed,
)
from tests.reference.primitives import ed25519_sign, sha256
from tests.reference.rounds import bundle_signed, room_for
from tests.vectors.book import Book
from tests.vectors.makers import world
from tests.vectors.makers.world import flipped

FILE = world.chain_file(2)
HOPS = 2
ROUND = 850_000_007


def announcement(book: Book, entries: list[bytes], prekeys: int, flags: int = 0) -> bytes:
    """An ANNOUNCEMENT whose increment is these entries and so many prekeys."""
    everybody = [world.entry(name, world.id_of(FILE)) for name in ("alice", "bob")]
    records = [book.filler(f"prekey {place}", 1292) for place in range(prekeys)]
    numbers = ((2, 1), (ROUND, 8), (flags, 1), (1_950, 4), (5, 2), (3, 4))
    return b"".join(
        [
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
    head = 6 + 20 + 32 * HOPS
    changes = {
        "a bit of the notice that means nothing": flipped(frame, 5, 8),
        "another version": flipped(frame, 6),
        "a flag that means nothing": flipped(frame, 15, 2),
        "nine entries": flipped(frame, head + 36 + 64 * HOPS + 4, 9),
        "three prekeys": flipped(frame, head + 36 + 64 * HOPS + 5 + 1040, 3),
        "something behind the entries": flipped(frame, head + 36 + 64 * HOPS + 5 + 1039),
        "something behind the prekeys": flipped(frame, -33),
        "a byte missing": framed(ANNOUNCE, frame[5:-1]),
        "cut off": frame[:-1],
    }
    for why, changed in changes.items():
        book.like(f"refused: {why}", name, refused="PeerError", frame=changed)
    counted = book.given("one entry, one prekey")["frame"]
    for why, place in {
        "something right behind one entry": head + 36 + 64 * HOPS + 5 + 130,
        "something right behind one prekey": head + 36 + 64 * HOPS + 5 + 1040 + 1 + 1292,
    }.items():
        book.like(f"refused: {why}", "one entry, one prekey", refused="PeerError",
                  frame=flipped(counted, place))  # fmt: skip
    unsigned = flipped(frame, head + 40)
    book.like("refused: a head that is not signed", name, refused="ChainError", frame=unsigned)
    book.like("refused: of a longer chain", name, refused="PeerError", file=world.chain_file(3))
    return book


def announce_grown() -> Book:
    book = Book("ANNOUNCE where more wait than every announcement has room for.")
    head = 6 + 20 + 32 * HOPS
    many = [book.filler(f"entry {place}", 130) for place in range(17)]
    for entries, prekeys in ((9, 0), (0, 3), (17, 9)):
        grown = framed(ANNOUNCE, b"\0" + announcement(book, many[:entries], prekeys))
        book.case(f"{entries} entries, {prekeys} prekeys", "read_announce", file=FILE, frame=grown)
    nine = book.given("9 entries, 0 prekeys")["frame"]
    for why, changed in {
        "more room than nine entries need": framed(ANNOUNCE, nine[5:-32] + bytes(16 * 130) + nine[-32:]),
        "less room than nine entries need": framed(ANNOUNCE, nine[5 : -32 - 130] + nine[-32:]),
        "eight entries with the room for nine": flipped(nine, head + 36 + 64 * HOPS + 4, 1),
        "something behind nine entries": flipped(nine, head + 36 + 64 * HOPS + 5 + 16 * 130 - 1),
        "seventeen prekeys": flipped(nine, head + 36 + 64 * HOPS + 5 + 16 * 130, 17),
    }.items():
        book.like(f"refused: {why}", "9 entries, 0 prekeys", refused="PeerError", frame=changed)
    return book


def upload() -> Book:
    book = Book("UPLOAD and UPLOAD_INVITE in a chain of two hops with one slot, with what an errand may say.")
    onions = b"".join(book.filler(f"onion {place}", 1136) for place in range(2))
    posted = book.filler("invitation onion", 1552)
    start, nothing = ROUND.to_bytes(8, "big"), bytes(93)
    name = "without invitations"
    frame = framed(UPLOAD, start + nothing + onions)
    book.case(name, "read_upload", file=FILE, frame=frame)
    book.case("with invitations", "read_upload", file=FILE,
              frame=framed(UPLOAD_INVITE, start + nothing + onions + posted))  # fmt: skip
    password = b"\x01" + sha256(b"login secret") + book.filler("a vault", 60)
    book.case("a new password", "read_upload", file=FILE, frame=framed(UPLOAD, start + password + onions))
    delete = b"\x02" + bytes(92)
    book.case("a deletion", "read_upload", file=FILE, frame=framed(UPLOAD, start + delete + onions))
    changes = {
        "an unknown errand": flipped(frame, 13, 3),
        "a login secret without an errand": flipped(frame, 14),
        "a vault without an errand": flipped(frame, 5 + 8 + 92),
        "a vault with a deletion": framed(UPLOAD, start + flipped(delete, 92) + onions),
        "an onion too few": framed(UPLOAD, start + nothing + onions[:1136]),
        "invitations in UPLOAD": framed(UPLOAD, start + nothing + onions + posted),
        "none in UPLOAD_INVITE": framed(UPLOAD_INVITE, start + nothing + onions),
        "an onion a byte longer": framed(UPLOAD, start + nothing + onions + b"\0"),
        "another kind of message": framed(REPLIES, start + nothing + onions),
        "cut off": frame[:-1],
        "no frame": frame[:4],
    }
    for why, changed in changes.items():
        book.like(f"refused: {why}", name, refused="PeerError", frame=changed)
    book.like("refused: of two slots", name, refused="PeerError", file=world.chain_file(2, slots=2))
    return book


def replies() -> Book:
    book = Book("REPLIES and STANDBY in a chain of two hops with one slot.")
    sealed = b"".join(book.filler(f"reply {place}", 1056) for place in range(2))
    start = ROUND.to_bytes(8, "big")
    for status, what in enumerate(("done", "lost", "missing")):
        frame = framed(REPLIES, start + bytes([status]) + sealed)
        book.case(what, "read_replies", file=FILE, frame=frame)
    changes = {
        "an unknown status": flipped(frame, 13),
        "a reply too many": framed(REPLIES, frame[5:] + sealed[:1056]),
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


FILES = (announce, announce_grown, upload, replies, bundle)
