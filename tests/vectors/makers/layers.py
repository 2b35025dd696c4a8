"""HPKE, onions, replies, the entry channel, epoch keys."""

from __future__ import annotations

from tests.reference.hpke import seal
from tests.reference.onions import offer_info
from tests.reference.primitives import sha256
from tests.vectors.book import Book
from tests.vectors.makers import world
from tests.vectors.makers.world import CHAIN_ID, flipped

ANNOUNCEMENT = sha256(b"announcement")
SUITES = ("X25519", world.HYBRID)


def hpke() -> Book:
    book = Book("HPKE with the one-stage KDF SHAKE256 and AES-256-GCM, for each suite.")
    for suite in SUITES:
        private = world.private_key(suite, f"a key of {suite}")
        public = book.case(f"{suite}: a private key", "hpke_public", suite=suite, private=private)["public"]
        book.like(f"{suite}: a private key cut off", f"{suite}: a private key", refused="refused",
                  private=private[:-1])  # fmt: skip
        loaded = f"{suite}: a public key"
        book.case(loaded, "hpke_load", suite=suite, public=public)
        book.like(f"{loaded} of small order", loaded, refused="refused", public=public[:-32] + bytes(32))
        order_8 = bytes.fromhex("e0eb7a7c3b41b8ae1656e3faf19fc46ada098deb9c32b1fd866205165f49b800")
        book.like(f"{loaded} of order 8", loaded, refused="refused", public=public[:-32] + order_8)
        book.like(f"{loaded} cut off", loaded, refused="refused", public=public[:-1])
        drawn = world.randomness(suite, suite)
        given = {"suite": suite, "info": b"an info", "plaintext": b"what is sealed"}
        sealed = book.case(f"{suite}: seal", "hpke_seal", public=public, randomness=drawn, **given)["sealed"]
        name = f"{suite}: open"
        book.case(name, "hpke_open", suite=suite, private=private, info=b"an info", sealed=sealed)
        other = world.private_key(suite, f"another key of {suite}")
        book.like(f"{name} with another key", name, refused="OnionError", private=other)
        book.like(f"{name} with another info", name, refused="OnionError", info=b"another info")
        for what, place in (("enc", 0), ("ephemeral key", -63), ("ciphertext", -20), ("tag", -1)):
            changed = flipped(sealed, place)
            book.like(f"{name} with another {what}", name, refused="OnionError", sealed=changed)
        # An ephemeral key of zeros makes a secret of zeros: whoever did not refuse it would go on.
        zeros = sealed[:-62] + bytes(32) + sealed[-30:]
        book.like(f"{name} with an ephemeral key of small order", name, refused="OnionError", sealed=zeros)
        book.like(f"{name} what is cut off", name, refused="OnionError", sealed=sealed[:-1])
        book.like(f"{name} nothing", name, refused="OnionError", sealed=b"")
    # The first coefficient becomes 4095, which is not below q.
    public = world.public_key(world.HYBRID, f"a key of {world.HYBRID}")
    book.like("an ML-KEM key with a coefficient out of range", f"{world.HYBRID}: a public key",
              refused="refused", public=b"\xff\xff" + public[2:])  # fmt: skip
    return book


def onion() -> Book:
    book = Book("An onion for the later hops of a chain of three, hop by hop.")
    reply_keys = [sha256(b"reply key %d" % hop) for hop in (1, 2)]
    context = {"chain_id": CHAIN_ID, "round_number": 77, "announcement_hash": ANNOUNCEMENT}
    for suite, kind, size in (("X25519", 0, 1040), (world.HYBRID, 0, 1040), ("X25519", 1, 1456)):
        what = f"{suite}, kind {kind}"
        payload = book.filler(f"payload of kind {kind}", size)
        labels = [f"hop {hop} of {suite}" for hop in (1, 2)]
        onion = book.case(
            f"{what}: wrap", "wrap_onion", suite=suite, kind=kind, payload=payload,
            publics=[world.public_key(suite, label) for label in labels], reply_keys=reply_keys,
            randomness=[world.randomness(suite, label) for label in labels], **context,
        )["onion"]  # fmt: skip
        for hop, label in enumerate(labels, 1):
            name = f"{what}: peel at hop {hop}"
            private = world.private_key(suite, label)
            peeled = {"private": private, "hop": hop, "onion": onion}
            if hop == 1:
                given = {"suite": suite, "kind": kind, **peeled, **context}
                onion = book.case(name, "peel_onion", **given)["inner"]
            else:
                onion = book.like(name, f"{what}: peel at hop 1", **peeled)["inner"]
        refuse_layers(book, what, peeled["onion"], kind)
    return book


def reply() -> Book:
    book = Book("A reply on its way back from the last of three hops.")
    reply_keys = [sha256(b"reply key %d" % hop) for hop in (1, 2)]
    name = "reply: the last hop seals"
    answer = book.filler("a reply", 1024)
    sealed = book.case(name, "seal_reply", reply_key=reply_keys[1], reply=answer)["sealed"]
    both = book.case("reply: hop 1 seals", "seal_reply", reply_key=reply_keys[0], reply=sealed)["sealed"]
    name = "reply: the client opens"
    book.case(name, "open_reply", reply_keys=reply_keys, sealed=both)
    refusals = {"altered": flipped(both, 500), "cut off": both[:-1], "empty": b""}
    for why, data in refusals.items():
        book.like(f"reply: {why}", name, refused="OnionError", sealed=data)
    book.like("reply: keys the wrong way round", name, refused="OnionError", reply_keys=reply_keys[::-1])
    return book


def refuse_layers(book: Book, what: str, onion: bytes, kind: int) -> None:
    name = f"{what}: peel at hop 2"
    changes = {
        "of another chain": {"chain_id": sha256(b"another chain")},
        "of another round": {"round_number": 78},
        "of another announcement": {"announcement_hash": sha256(b"another announcement")},
        "of the other kind": {"kind": 1 - kind},
        "for another hop": {"hop": 1},
        "altered": {"onion": flipped(onion, -1)},
        "cut off": {"onion": onion[:-1]},
    }
    for why, change in changes.items():
        book.like(f"{what}: a layer {why}", name, refused="OnionError", **change)


def entry_channel() -> Book:
    book = Book("The offer of a LOGIN, and what a client and the entry seal for each other afterwards.")
    secret, key_id = sha256(b"secret"), sha256(b"key")
    login = {"chain_id": CHAIN_ID, "certificate_hash": sha256(b"certificate"), "key_id": key_id}
    for suite in SUITES:
        drawn, public = world.randomness(suite, "offer"), world.public_key(suite, "entry")
        offer = seal(suite, public, offer_info(*login.values()), secret, drawn)
        name = f"{suite}: offer"
        book.case(name, "open_offer", suite=suite, private=world.private_key(suite, "entry"), offer=offer,
                  **login)  # fmt: skip
        book.like(f"{name} to another key id", name, refused="OnionError", key_id=sha256(b"another key"))
        book.like(f"{name} altered", name, refused="OnionError", offer=flipped(offer, -1))
        book.like(f"{name} of another certificate", name, refused="OnionError",
                  certificate_hash=sha256(b"another certificate"))  # fmt: skip
    first = b""
    session = {**login, "announcement_hash": ANNOUNCEMENT, "secret": secret, "first_epoch": 7}
    name = "open up, kind 0, epoch 7"
    for direction, place in (
        ("up, kind 0", {"direction": "up", "kind": 0, "index": 0}),
        ("up, kind 1", {"direction": "up", "kind": 1, "index": 4}),
        ("down", {"direction": "down", "index": 3}),
    ):
        sealing, opening = f"seal {direction}, epoch 7", f"open {direction}, epoch 7"
        given = {**session, **place, "epoch": 7, "round_number": 215}
        sealed = book.case(sealing, "channel_seal", plaintext=b"onion", **given)["sealed"]
        book.case(opening, "channel_open", sealed=sealed, **given)
        first = sealed if opening == name else first
        for epoch in (8, 9):
            later = {"epoch": epoch, "round_number": epoch * 30 + 5}
            sealed = book.like(f"seal {direction}, epoch {epoch}", sealing, **later)["sealed"]
            book.like(f"open {direction}, epoch {epoch}", opening, sealed=sealed, **later)
    changes = {
        "another index": {"index": 1},
        "another kind": {"kind": 1},
        "another round": {"round_number": 216},
        "another direction": {"direction": "down"},
        "another epoch": {"epoch": 8},
        "an epoch that is over": {"epoch": 6},
        "an epoch too far ahead": {"epoch": 8 + 2**16},
        "cut off": {"sealed": first[:-1]},
        "empty": {"sealed": b""},
    }
    for why, change in changes.items():
        book.like(f"refused: {why}", name, refused="OnionError", **change)
    return book


def epoch_key() -> Book:
    book = Book("An epoch key as KEYS and PREPARED show it, for the hop and the round it is needed for.")
    for suite in SUITES:
        file = world.chain_file(2, suite)
        record = world.epoch_key(file, suite, 1, 60, 89)
        name = f"{suite}: a key"
        for round_number in (60, 89):
            book.case(f"{name} in round {round_number}", "read_epoch_key", file=file, hop=1,
                      round_number=round_number, record=record, indifferent=("round_number",))  # fmt: skip
        base = f"{name} in round 60"
        small = world.public_key(suite, "small")[:-32] + bytes(32)
        changes = {
            "for a round before": {"round_number": 59},
            "for a round after": {"round_number": 90},
            "for another hop": {"hop": 0},
            "for too many rounds": {"record": world.epoch_key(file, suite, 1, 60, 90)},
            "that ends before it begins": {"record": world.epoch_key(file, suite, 1, 60, 59)},
            "signed by another hop": {"record": world.epoch_key(file, suite, 1, 60, 89, signer=0)},
            "with another signature": {"record": flipped(record, -1)},
            "of another range than signed": {"record": flipped(record, 16)},
            "that is another than signed": {"record": flipped(record, 20)},
            "of small order": {"record": world.epoch_key(file, suite, 1, 60, 89, public=small)},
        }
        for why, change in changes.items():
            book.like(f"{name} {why}", base, refused="ChainError", **change)
        book.like(f"{name} cut off", base, refused="PeerError", record=record[:-1])
    return book


FILES = (hpke, onion, reply, entry_channel, epoch_key)
