"""HPKE, onions, cells, the entry channel, epoch keys."""

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
    book = Book(
        "An onion for the later hops of a chain of three, hop by hop: an invitation (1), a setup (2)."
    )
    secrets = [sha256(b"secret %d" % hop) for hop in (1, 2)]
    context = {"chain_id": CHAIN_ID, "round_number": 77, "announcement_hash": ANNOUNCEMENT}
    for suite, kind, size in (("X25519", 2, 16), (world.HYBRID, 2, 16), ("X25519", 1, 1456)):
        what = f"{suite}, kind {kind}"
        payload = book.filler(f"payload of kind {kind}", size)
        labels = [f"hop {hop} of {suite}" for hop in (1, 2)]
        onion = book.case(
            f"{what}: wrap", "wrap_onion", suite=suite, kind=kind, payload=payload,
            publics=[world.public_key(suite, label) for label in labels], secrets=secrets,
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


def circuit() -> Book:
    book = Book(
        "A cell and its answer in a circuit of a chain of three, one hop after the other, and of one."
    )
    secrets = [sha256(b"secret %d" % hop) for hop in (1, 2)]
    there, back = book.filler("a cell", 1024), book.filler("an answer", 1024)
    later = 2**63 + 77
    for number in (77, 78, later):
        wrapped = book.case(
            f"round {number}: wrap", "wrap_cell", secrets=secrets, round_number=number, cell=there
        )
        cell = wrapped["cell"]
        for hop, secret in enumerate(secrets, 1):
            name = f"round {number}: hop {hop} passes it on"
            cell = book.case(
                name, "pass_cell", secret=secret, round_number=number, direction="forward", cell=cell
            )["cell"]
        cell = back
        for hop, secret in reversed(list(enumerate(secrets, 1))):
            name = f"round {number}: hop {hop} gives back"
            cell = book.case(
                name, "pass_cell", secret=secret, round_number=number, direction="back", cell=cell
            )["cell"]
        book.case(f"round {number}: unwrap", "unwrap_cell", secrets=secrets, round_number=number, cell=cell)
    alone = {"secrets": [], "round_number": 77, "indifferent": ("round_number",)}
    book.case("one server: wrap", "wrap_cell", cell=there, **alone)
    book.case("one server: unwrap", "unwrap_cell", cell=back, **alone)
    return book


def refuse_layers(book: Book, what: str, onion: bytes, kind: int) -> None:
    name = f"{what}: peel at hop 2"
    changes = {
        "of another chain": {"chain_id": sha256(b"another chain")},
        "of another round": {"round_number": 78},
        "of another announcement": {"announcement_hash": sha256(b"another announcement")},
        "of another kind": {"kind": 3 - kind},
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
    session = {**login, "announcement_hash": ANNOUNCEMENT, "secret": secret, "key_round": 211}
    name = "open up, kind 0, round 215"
    for direction, place in (
        ("up, kind 0", {"direction": "up", "kind": 0, "index": 0}),
        ("up, kind 1", {"direction": "up", "kind": 1, "index": 4}),
        ("up, kind 2", {"direction": "up", "kind": 2, "index": 6}),
        ("down", {"direction": "down", "index": 3}),
    ):
        sealing, opening = f"seal {direction}, round 215", f"open {direction}, round 215"
        given = {**session, **place, "round_number": 215, "indifferent": ("key_round",)}
        sealed = book.case(sealing, "channel_seal", plaintext=b"onion", **given)["sealed"]
        book.case(opening, "channel_open", sealed=sealed, **given)
        first = sealed if opening == name else first
        for later in {"down": (239, 240), "up, kind 2": (240,)}.get(direction, ()):
            changed = {"round_number": later, "indifferent": ("key_round",)}
            sealed = book.like(f"seal {direction}, round {later}", sealing, **changed)["sealed"]
            book.like(f"open {direction}, round {later}", opening, sealed=sealed, **changed)
    far = {"round_number": 210 + 30 * (2**16 + 1)}
    book.like("refused: to seal too far ahead", "seal down, round 215", refused="OnionError", **far)
    book.like(
        "refused: to seal with a key to come", "seal down, round 215", refused="OnionError", key_round=240
    )
    changes = {
        "another index": {"index": 1},
        "another kind": {"kind": 1},
        "another round": {"round_number": 216},
        "another direction": {"direction": "down"},
        "a key of the period before": {"key_round": 209},
        "a key to come": {"key_round": 240},
        "a round too far ahead": far,
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
            "for more rounds than an epoch has": {"file": world.chain_file(2, suite, epoch_rounds=29)},
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
        refuse_login_keys(book, suite)
    return book


def refuse_login_keys(book: Book, suite: str) -> None:
    """The entry's key for logins has its own 30 rounds, however long an epoch is."""
    name = f"{suite}: a key for logins"
    file = world.chain_file(2, suite, epoch_rounds=10)
    given = {"file": file, "hop": 0, "round_number": 85, "indifferent": ("round_number",)}
    book.case(name, "read_epoch_key", record=world.epoch_key(file, suite, 0, 60, 89), **given)
    long = world.epoch_key(file, suite, 0, 60, 90)
    book.like(f"{name} for too many rounds", name, refused="ChainError", record=long)


FILES = (hpke, onion, circuit, entry_channel, epoch_key)
