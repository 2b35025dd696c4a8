"""The chain file, the directory, prekeys, safety numbers, passwords, and what is said before a session."""

from __future__ import annotations

from tests.reference.accounts import seal_vault
from tests.reference.directory import name_field
from tests.reference.frames import ACCOUNT, DIRECTORY, LOGIN, REGISTER, framed
from tests.reference.primitives import ecdsa_sign, ed25519_public, sha256
from tests.vectors.book import Book
from tests.vectors.makers import world
from tests.vectors.makers.world import CHAIN_ID, flipped

P256_ORDER = bytes.fromhex("ffffffff00000000ffffffffffffffffbce6faada7179e84f3b9cac2fc632551")
ARABIC = {ord("0") + digit: chr(0x660 + digit) for digit in range(10)}
"""Digits that many languages' number readers take as well."""


def chain() -> Book:
    book = Book("The chain file, whose exact bytes have the chain id as their hash.")
    one, three = world.chain_file(1), world.chain_file(3, world.HYBRID, 2)
    book.case("one hop", "read_chain", file=one)
    book.case("three hops", "read_chain", file=three)
    forced = three.replace("noise_mu = 1000", "noise_mu = 0").replace("false", "true")
    book.case("no noise, on purpose", "read_chain", file=forced)
    book.case("the longest epoch", "read_chain", file=world.chain_file(3, world.HYBRID, 2, epoch_rounds=120))
    book.case("epochs mean nothing to one hop", "read_chain", file=world.chain_file(1, epoch_rounds=100_000))
    book.case("one hop needs no noise", "read_chain", file=one.replace("noise_mu = 1000", "noise_mu = 0"))
    certificate = sha256(b"certificate").hex()
    changes = {
        "noise that protects nothing": ("noise_b = 80", "noise_b = 7"),
        "too little noise": ("noise_mu = 1000", "noise_mu = 100"),
        "an odd mean": ("noise_mu = 1000", "noise_mu = 1001"),
        "another version": ("version = 1", "version = 2"),
        "an unknown suite": (world.HYBRID, "MLKEM1024"),
        "no slots": ("slots = 2", "slots = 0"),
        "too many slots": ("slots = 2", "slots = 17"),
        "a fraction": ("slots = 2", "slots = 2.0"),
        "a truth value for a number": ("slots = 2", "slots = true"),
        "rounds too short": ("round_ms = 2000", "round_ms = 9"),
        "rounds too long": ("round_ms = 2000", "round_ms = 600001"),
        "no bundles": ("invite_every = 5", "invite_every = 0"),
        "a value missing": ("epoch_rounds = 30\n", ""),
        "epochs too long": ("epoch_rounds = 30", "epoch_rounds = 121"),
        "a number for a truth value": ("noise_forced = false", "noise_forced = 0"),
        "a later hop without an address": ("hop1.example:12346", ""),
        "a port out of range": ("hop1.example:12346", "hop1.example:65536"),
        "a hash cut off": (certificate, certificate[:-2]),
        "no TOML": ("version = 1", "version 1"),
    }
    for why, (old, new) in changes.items():
        book.like(f"refused: {why}", "three hops", refused="ChainError", file=three.replace(old, new))
    long = world.chain_file(1, epoch_rounds=100_001)
    book.like("refused: epochs too long for one hop, too", "one hop", refused="ChainError", file=long)
    names = [line for line in three.splitlines() if line.startswith("identity")]
    book.like("refused: one identity twice", "three hops", refused="ChainError",
              file=three.replace(names[1], names[0]))  # fmt: skip
    nine = world.chain_file(9, world.HYBRID, 2)
    book.like("refused: nine hops", "three hops", refused="ChainError", file=nine)
    return book


def chain_text() -> Book:
    book = Book("How the values of a chain file are written: what is refused, though one could read it.")
    two = world.chain_file(2)
    certificate, identity = sha256(b"certificate").hex(), ed25519_public(world.seed(1)).hex()
    book.case("digits in lower case", "read_chain", file=two)
    capitals = two.replace(certificate, certificate.upper()).replace(identity, identity.upper())
    book.like("digits in capitals", "digits in lower case", file=capitals)
    with_comments = two.replace("version = 1", "# ours\n\tversion=1 # the first").replace(
        "[[hop]]", "[[hop]] # next"
    )
    book.like("comments", "digits in lower case", file=with_comments)
    book.like("a name in single quotes", "digits in lower case", file=two.replace('"hop 1"', "'hop 1'"))
    changes = {
        "a dotted key": ("version = 1", "version = 1\nother.key = 1"),
        "a quoted key": ("version = 1", '"version" = 1'),
        "a key of 65 characters": ("version = 1", f"version = 1\n{'k' * 65} = 1"),
        "another table": ("version = 1", "version = 1\n[other]"),
        "an array": ("version = 1", "version = 1\nother = [1]"),
        "a table on a line": ("version = 1", "version = 1\nother = {a = 1}"),
        "a string of three quotes": ('"hop 1"', '"""hop 1"""'),
        "a hash with a space": (certificate, f"{certificate[:2]} {certificate[2:]}"),
        "a hash with a line end": (certificate, certificate + "\\n"),
        "an identity with spaces": (identity, identity.replace("e", "e ", 1)),
        "an identity with digits of another script": (identity, identity.translate(ARABIC)),
        "a version that is a truth value": ("version = 1", "version = true"),
        "a version that is a fraction": ("version = 1", "version = 1.0"),
        "a name that is a number": ('"hop 1"', "1"),
        "a name that is a list": ('"hop 1"', '["hop 1", {a = 2}]'),
        "a name of two lines": ('"hop 1"', '"hop\\n1"'),
        "a name that turns the direction": ('"hop 1"', '"hop \\u202e1"'),
        "an address that is a number": ('address = ""', "address = 12346"),
    }
    for why, (old, new) in changes.items():
        book.like(f"refused: {why}", "digits in lower case", refused="ChainError", file=two.replace(old, new))
    return book


def join_link() -> Book:
    book = Book("The join link, which may leave out what is usual.")
    digits = sha256(b"a chain").hex()
    for link in (f"iirs://example.org:12346/#{digits}", "example.org", f"[2001:db8::1]:443#{digits.upper()}",
                 "iirs://192.0.2.7/"):  # fmt: skip
        book.case(f"link {link[:25]}", "read_link", link=link)
    book.like("white space around a link", "link example.org", link=" example.org\n")
    wrapped = f"{digits[:30]}\r\n  {digits[30:]}"
    for link in (f"IIRS://Example.ORG.:12346/#{digits.upper()}", f"<iirs://example.org/#{digits}>.",
                 f"Come here: iirs://example.org/#{wrapped} ", f"\u201ciirs://example.org/%23{digits}\u201d",
                 f"\u200biirs://exam\u00adple.org/#{digits}\ufeff", "EXAMPLE.org."):  # fmt: skip
        book.case(f"pasted: {link[:28]!r}", "read_link", link=link)
    for link in ("", "https://example.org/", "example.org:0", "example.org:65536", "iirs://2001:db8::1/",
                 f"example.org/#{digits[:-1]}", f"example.org/{digits}", "example.org/#", "example.org..:80",
                 f"example.org/#{digits} and more", f"iirs://a/#{digits} iirs://b/#{digits}"):  # fmt: skip
        book.like(
            f"refused: link {link[:30]!r}, {len(link)} characters",
            "link example.org",
            refused="ConfigError",
            link=link,
        )
    return book


def directory() -> Book:
    book = Book("Entries, the hash of a directory at every length, heads, and what may extend a directory.")
    people = ("alice", "bob", "carol")
    alice, bob, _ = entries = [world.entry(name) for name in people]
    for name, entry in zip(people, entries, strict=True):
        book.case(f"the entry of {name}", "read_entry", chain_id=CHAIN_ID, entry=entry)
    changes = {
        "a letter of the name changed": flipped(alice, 2),
        "an upper-case name": b"\x05A" + alice[2:],
        "a name of no letters": bytes(33) + alice[33:],
        "something after the name": flipped(alice, 32),
        "another key": alice[:33] + bob[33:66] + alice[66:],
        "a key that is no point": alice[:33] + bytes(33) + alice[66:],
        "another signature": alice[:66] + bob[66:],
        "no signature": alice[:66] + bytes(64),
        "a byte missing": alice[:-1],
        "a byte too many": alice + b"\0",
        "signed by bob": world.entry("alice", signer="bob"),
        "of another chain": world.entry("alice", sha256(b"another chain")),
    }
    for why, entry in changes.items():
        book.like(f"refused: {why}", "the entry of alice", refused="DirectoryError", entry=entry)
    name = "three people"
    book.case(name, "directory_digests", chain_id=CHAIN_ID, entries=entries)
    book.like("nobody", name, entries=[])
    book.like("refused: a name twice", name, refused="DirectoryError", entries=[alice, bob, alice])
    return book


def heads() -> Book:
    book = Book("Heads that the hops of a chain of two sign, and what may extend a directory.")
    file = world.chain_file(2)
    alice, bob, carol = everybody = [
        world.entry(name, world.id_of(file)) for name in ("alice", "bob", "carol")
    ]
    head = world.head(file, 2, everybody)
    book.case("a head", "read_head", file=file, head=head)
    for why, changed in {
        "another length than signed": flipped(head, 3),
        "another digest than signed": flipped(head, 4),
        "not signed by hop 0": flipped(head, 36),
        "not signed by hop 1": flipped(head, -1),
        "hop 1 signed another": world.head(file, 2, everybody, liar=1),
    }.items():
        book.like(f"refused: {why}", "a head", refused="ChainError", head=changed)
    book.like("refused: a signature too few", "a head", refused="PeerError", head=head[:-64])
    name = "two more people"
    book.case(name, "extend_directory", file=file, held=[alice], start=1, entries=[bob, carol], head=head)
    book.like("an overlap", name, held=[alice, bob], start=0, entries=everybody)
    book.like("nothing new", name, held=everybody, start=3, entries=[])
    before = world.head(file, 2, [alice])
    book.like("a head shorter than what is held", name, held=everybody, start=1, entries=[], head=before,
              indifferent=("start",))  # fmt: skip
    double = world.head(file, 2, [alice, bob, alice])
    changes = {
        "other entries than held": {"start": 0, "entries": [bob, bob, carol]},
        "an entry that nobody signed for": {"head": world.head(file, 2, [alice, bob])},
        "another order than signed": {"entries": [carol, bob]},
        "an entry of another chain": {"entries": [bob, world.entry("carol")]},
        "a name twice": {"entries": [bob, alice], "head": double},
    }
    for why, change in changes.items():
        book.like(f"refused: {why}", name, refused="DirectoryError", **change)
    book.like("refused: a gap", name, refused="PeerError", start=2, entries=[carol])
    book.like("refused: fewer entries than the head covers", name, refused="PeerError", entries=[bob])
    unsigned = world.head(file, 2, everybody, liar=0)
    book.like("refused: a head that is not signed", name, refused="ChainError", head=unsigned)
    return book


def prekey() -> Book:
    book = Book("A prekey of alice, as PREKEY, ANNOUNCE and DIRECTORY show it.")
    entry, period = world.entry("alice"), 2**40 + 5
    good = world.prekey("alice", 0, period)
    name = "a prekey"
    book.case(name, "read_prekey", chain_id=CHAIN_ID, entry=entry, record=good)
    public = good[12:-64]
    label, place = b"iirs/1 prekey", period.to_bytes(8, "big")

    def signed(signer: str, of: bytes, key: bytes, words: bytes = label) -> bytes:
        signature = ecdsa_sign(world.scalar(signer), words + CHAIN_ID + sha256(of) + place + key)
        return good[:12] + key + signature

    small = public[:-32] + bytes(32)
    changes = {
        "signed by bob": signed("bob", entry, public),
        "signed for bob's entry": signed("alice", world.entry("bob"), public),
        "another label": signed("alice", entry, public, b"iirs/1 entry"),
        "another period": flipped(good, 11),
        "another key": flipped(good, 12),
        "no signature": good[:-64] + bytes(64),
        "a key of small order": signed("alice", entry, small),
        "an ML-KEM key out of range": signed("alice", entry, b"\xff\xff" + public[2:]),
        "a byte missing": good[:-1],
        "a byte too many": good + b"\0",
        "empty": b"",
    }
    for why, record in changes.items():
        book.like(f"refused: {why}", name, refused="DirectoryError", record=record)
    return book


def safety() -> Book:
    book = Book("Safety numbers: the same from both sides, and another for any other name, key or chain.")
    fingerprints = {name: sha256(world.entry(name)) for name in ("alice", "bob", "al", "ice")}

    def numbered(case: str, name: str, peer: str) -> None:
        book.case(case, "safety_number", chain_id=CHAIN_ID, name=name, fingerprint=fingerprints[name],
                  peer=peer, peer_fingerprint=fingerprints[peer])  # fmt: skip

    numbered("alice's side", "alice", "bob")
    numbered("bob's side", "bob", "alice")
    numbered("names that begin alike", "al", "alice")
    book.like("another chain", "alice's side", chain_id=sha256(b"another chain"))
    book.like("bob with other keys", "alice's side", peer_fingerprint=sha256(b"bob's other entry"))
    return book


def passwords() -> Book:
    book = Book("What a password stands for, at the cost that is fixed and at one that is cheap to test.")
    cheap = {"memory_kib": 64, "passes": 1, "lanes": 1}
    name = "cheap"
    keys = book.case(name, "stretch_password", chain_id=CHAIN_ID, name="alice",
                     password="correct horse battery", **cheap)  # fmt: skip
    book.like("standard", name, memory_kib=64 * 1024, passes=3, lanes=4)
    book.like("letters that are not English", name, name="b.o-b_7", password="schöne grüße, 你好")
    book.like("another name", name, name="bob")
    book.like("as another keyboard types it: no-break spaces, and letters in two parts", name, name="b.o-b_7",
              password="scho\u0308ne\u00a0gru\u0308\u00dfe,\u3000你好")  # fmt: skip
    book.like("a space more", name, password="correct horse battery ")
    entry, private = world.entry("alice"), world.scalar("alice")
    given = {"vault_key": keys["vault_key"], "name": "alice", "entry": entry}
    nonce = sha256(b"nonce")[:12]
    vault = book.case("seal a vault", "seal_vault", private=private, nonce=nonce, **given)["vault"]
    name = "open a vault"
    book.case(name, "open_vault", vault=vault, **given)
    zero, order = (seal_vault(private=bad, nonce=nonce, **given)["vault"] for bad in (bytes(32), P256_ORDER))
    changes = {
        "another password": {"vault_key": keys["login_secret"]},
        "another name": {"name": "bob"},
        "another entry": {"entry": world.entry("bob")},
        "altered": {"vault": flipped(vault, 20)},
        "a decoy": {"vault": book.filler("a decoy", 60)},
        "a key of 0": {"vault": zero},
        "a key that is the curve's order": {"vault": order},
    }
    for why, change in changes.items():
        book.like(f"refused: a vault of {why}", name, refused="AccountError", **change)
    return book


def accounts() -> Book:
    book = Book("REGISTER, LOGIN, ACCOUNT and DIRECTORY, as whole frames.")
    file = world.chain_file(2)
    chain_id = world.id_of(file)
    entries = [world.entry(name, chain_id) for name in ("alice", "bob")]
    secret, vault = sha256(b"login secret"), book.filler("a vault", 60)
    frame = framed(REGISTER, entries[0] + secret + vault)
    book.case("register", "read_register", chain_id=chain_id, frame=frame)
    book.like("refused: register with an entry that does not verify", "register", refused="DirectoryError",
              frame=flipped(frame, 120))  # fmt: skip
    offer, field = book.filler("an offer", 80), name_field("alice")
    book.case("ticket", "login_ticket", chain_id=chain_id, vault=vault)
    frame = framed(LOGIN, field + secret + sha256(b"ticket") + sha256(b"key") + offer)
    book.case("login", "read_login", file=file, frame=frame)
    book.like("refused: login by no name", "login", refused="AccountError", frame=flipped(frame, 6, 32))
    book.like("refused: login of another suite", "login", refused="PeerError",
              file=world.chain_file(2, world.HYBRID))  # fmt: skip
    frame = framed(ACCOUNT, (7).to_bytes(4, "big") + (1000).to_bytes(8, "big") + vault)
    book.case("account", "read_account", frame=frame)
    head, prekey = world.head(file, 2, entries), book.filler("a prekey", 1292)
    frame = framed(DIRECTORY, head + (2).to_bytes(4, "big") + b"".join(entries) + prekey)
    book.case("directory", "read_directory", file=file, frame=frame)
    body = frame[5:]
    for why, changed in {
        "a part of a prekey": framed(DIRECTORY, body[:-1]),
        "a part of an entry": framed(DIRECTORY, body[: len(head) + 4 + 200]),
        "more entries announced": framed(DIRECTORY, flipped(body, len(head) + 3)),
        "ten entries announced and 8 bytes there": framed(
            DIRECTORY, head + (10).to_bytes(4, "big") + bytes(10 * 130 - 1292)
        ),
        "no head": framed(DIRECTORY, head),
    }.items():
        book.like(f"refused: directory with {why}", "directory", refused="PeerError", frame=changed)
    book.like("refused: directory with a head not signed", "directory", refused="ChainError",
              frame=flipped(frame, 5 + 40))  # fmt: skip
    for kind in ("register", "login", "account", "directory"):
        given = book.given(kind)["frame"]
        book.like(f"refused: {kind} cut off", kind, refused="PeerError", frame=given[:-1])
        book.like(f"refused: {kind} as another kind", kind, refused="PeerError", frame=b"\x0a" + given[1:])
    return book


FILES = (chain, chain_text, join_link, directory, heads, prekey, safety, passwords, accounts)
