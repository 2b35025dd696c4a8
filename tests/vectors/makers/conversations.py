"""Invitations, agreements, the keys of a conversation, renewal, peer messages."""

from __future__ import annotations

from typing import Any

from tests.reference.conversations import content_of, patience_of
from tests.reference.hpke import seal
from tests.reference.invitations import SUITE, invitation_info, invitation_signed
from tests.reference.invitations import content_of as invitation_content
from tests.reference.primitives import Values, ecdsa_public, ecdsa_sign, sha256, x25519_public
from tests.vectors.book import Book
from tests.vectors.makers import world
from tests.vectors.makers.world import CHAIN_ID, flipped

BUNDLE_ROUND = 850_000_000
NOON = 1_700_000_000_000
PEOPLE = ("alice", "bob", "carol")


def wish(name: str, started_ms: int, **but: Any) -> Values:
    """What a person's TALK says."""
    return {
        "kind": 1,
        "caller": PEOPLE.index(name),
        "conversation": bytes(16),
        "started_ms": started_ms,
        "ephemeral": x25519_public(sha256(f"{name}'s ephemeral key".encode())),
        "seed": sha256(f"{name}'s seed".encode()),
        "bundle_round": BUNDLE_ROUND,
        "chain_ids": [],
        "prekey_ids": [sha256(world.public_key(SUITE, f"{name}'s prekey"))[:8]],
        **but,
    }


def invitation() -> Book:
    book = Book("Invitations from alice to bob, sealed to a prekey of his, and what must be ignored.")
    entries = [world.entry(name) for name in PEOPLE]
    prekey, key = world.public_key(SUITE, "bob's prekey"), world.private_key(SUITE, "bob's prekey")
    given = {"chain_id": CHAIN_ID, "entries": entries, "callee": 1}
    ids = [sha256(b"chain %d" % place)[:16] for place in range(3)]
    talk = wish("alice", NOON, conversation=sha256(b"conversation")[:16], chain_ids=ids)
    drawn = world.randomness(SUITE, "an invitation")
    sealing = {**given, "entries": entries[:2], "private": world.scalar("alice"), "prekey": prekey}
    sealed = book.case("seal", "seal_invitation", invitation=talk, randomness=drawn, **sealing)["sealed"]
    end = {**talk, "kind": 2, "chain_ids": [], "prekey_ids": []}
    ending = book.like("seal an END", "seal", invitation=end)["sealed"]
    old = world.private_key(SUITE, "bob's prekey of the period before")
    book.case("open", "open_invitation", keys=[key], bundle_round=BUNDLE_ROUND, sealed=sealed, **given)
    book.like("open with the second key", "open", keys=[old, key], indifferent=("keys",))
    book.like("open an END", "open", sealed=ending)

    def forged(
        signer: str = "alice", callee: int = 1, tail: bytes = b"", end: bytes = b"", **but: Any
    ) -> bytes:
        content = tail or invitation_content({**talk, **but})
        signed = invitation_signed(CHAIN_ID, entries[0], entries[callee], content)
        plain = (content + ecdsa_sign(world.scalar(signer), signed) + end).ljust(320, b"\0")
        return seal(SUITE, prekey, invitation_info(CHAIN_ID, BUNDLE_ROUND), plain, drawn)

    content = invitation_content(talk)
    changes = {
        "without the key": {"keys": [old]},
        "without any key": {"keys": []},
        "by somebody else": {"callee": 2},
        "in the bundle of another round": {"bundle_round": BUNDLE_ROUND + 5},
        "in another chain": {"chain_id": sha256(b"another chain"),
                             "entries": [world.entry(name, sha256(b"another chain")) for name in PEOPLE]},
        "altered": {"sealed": flipped(sealed, 1200)},
        "signed by carol": {"sealed": forged("carol")},
        "signed for carol": {"sealed": forged(callee=2)},
        "that names another round inside": {"sealed": forged(bundle_round=BUNDLE_ROUND - 5)},
        "from nobody in the directory": {"sealed": forged(caller=3)},
        "from another than signed": {"sealed": forged(caller=2)},
        "of an unknown kind": {"sealed": forged(kind=3)},
        "of an unknown version": {"sealed": forged(tail=b"\x02" + content[1:])},
        "with five chain ids": {"sealed": forged(tail=content[:102] + b"\x05" + content[103:])},
        "with three prekey ids": {"sealed": forged(tail=content[:167] + b"\x03" + content[168:])},
        "with something behind the chain ids": {"sealed": forged(tail=flipped(content, 166))},
        "with something behind the prekey ids": {"sealed": forged(tail=flipped(content, 183))},
        "with something behind the signature": {"sealed": forged(end=b"\0" * 71 + b"\1")},
    }  # fmt: skip
    for why, change in changes.items():
        book.like(f"refused: {why}", "open", refused="InvitationError", **change)
    return book


def agreement() -> Book:
    book = Book("What alice's and bob's invitations in one bundle amount to: role (0 generator) and root.")
    keys = {name: ecdsa_public(world.scalar(name)) for name in PEOPLE}

    def sides(what: str, alice: Values, bob: Values, indifferent: tuple[str, ...], round_ms: int) -> None:
        for me, my, peer, their in (("alice", alice, "bob", bob), ("bob", bob, "alice", alice)):
            private = sha256(f"{me}'s ephemeral key".encode())
            given = {"mine": my, "my_key": keys[me], "theirs": their, "their_key": keys[peer]}
            book.case(f"{what}, {me}'s side", "agree", round_ms=round_ms, private=private, **given,
                      indifferent=indifferent)  # fmt: skip

    alike = ("my_key", "their_key", "round_ms")
    alice, bob = wish("alice", NOON), wish("bob", NOON - 1)
    sides("bob asked first", alice, bob, alike, 2000)
    sides("both asked at once", alice, wish("bob", NOON), alike, 2000)
    # A start beyond the bundle counts as the bundle's own time, so the keys decide.
    latest = BUNDLE_ROUND * 2000
    late = {"alice": wish("alice", latest + 5), "bob": wish("bob", latest + 3)}
    sides("both name the future", late["alice"], late["bob"], alike, 2000)
    name = "bob asked first, alice's side"
    zero = {**bob, "ephemeral": bytes(32)}
    book.like("refused: a key of small order", name, refused="InvitationError", theirs=zero)
    return book


def decision() -> Book:
    book = Book("Whether a bundle with two people's invitations starts a conversation, and with which chain.")
    ids = [sha256(b"chain %d" % place)[:16] for place in range(3)]
    theirs = wish("bob", NOON)
    name = "both asked"
    given = {"bundle_round": BUNDLE_ROUND, "own_in_bundle": True,
             "peer_prekey": world.public_key(SUITE, "bob's prekey")}  # fmt: skip
    book.case(name, "decide", held=[], theirs=theirs, indifferent=("theirs",), **given)
    others = ("theirs", "bundle_round", "peer_prekey")
    book.like("mine was lost", name, own_in_bundle=False, indifferent=others)
    another = {**theirs, "prekey_ids": [sha256(b"another prekey")[:8]]}
    two = {**theirs, "prekey_ids": [*another["prekey_ids"], *theirs["prekey_ids"]]}
    book.like("bob can open mine with his second key", name, theirs=two, indifferent=("theirs",))
    for why, talk in {
        "bob cannot open mine": another,
        "bob ends": {**theirs, "kind": 2},
        "bob's key is of small order": {**theirs, "ephemeral": bytes(32)},
    }.items():
        book.like(why, name, theirs=talk, indifferent=(*others, "own_in_bundle"))
    listed = {**theirs, "chain_ids": [ids[1], ids[0]]}
    for what, held in {
        "the newest common chain": [ids[0], ids[1]],
        "the only common chain": [ids[2], ids[1]],
        "no common chain": [ids[2]],
    }.items():
        book.like(what, name, held=held, theirs=listed, indifferent=("theirs", "held"))
    return book


def sync() -> Book:
    book = Book("The drops and keys of a conversation, round by round.")
    root = sha256(b"root")
    name = "round 1000"
    book.case(name, "round_keys", root=root, start_round=1000, taken=[], round_number=1000)
    for number in (1001, 1003):
        book.like(f"round {number}", name, round_number=number)
    after = "round 1004 after others"
    book.like(after, name, taken=[1000, 1002], round_number=1004, indifferent=("taken",))
    book.like("the longest gap", name, round_number=1000 + 256)
    changes = {
        "the round is over": {"round_number": 1002},
        "the round is long over": {"round_number": 1000},
        "a round before the start": {"taken": [], "round_number": 999},
    }
    for why, change in changes.items():
        given = {"taken": [1002], **change}
        book.like(f"refused: {why}", name, refused="refused", **given)
    gap = {"taken": [1002], "round_number": 1003 + 4096 + 1}
    book.like("refused: a gap too long", name, refused="StoreError", **gap)
    return book


def renewal() -> Book:
    book = Book("A renewal of the secret: who says what, and the keys of the first round under the new one.")
    name = "heard at once"
    book.case(name, "renewed_keys", root=sha256(b"root"), start_round=1000, epoch_rounds=1, ready_heard=1001,
              commit_heard=1002, generator_private=sha256(b"g"), listener_private=sha256(b"l"),
              indifferent=("commit_heard", "epoch_rounds"))  # fmt: skip
    for epoch_rounds in (1, 4, 5, 10, 120):
        of = {"epoch_rounds": epoch_rounds}
        last = 1001 + patience_of(epoch_rounds)
        book.like(f"heard in the last round before, epochs of {epoch_rounds}", name, commit_heard=last, **of,
                  indifferent=("commit_heard", "ready_heard", "epoch_rounds"))  # fmt: skip
        for why, heard in (("in the round of the switch", last + 1), ("too early", 1001)):
            book.like(f"refused: heard {why}, epochs of {epoch_rounds}", name, refused="PeerMessageError",
                      commit_heard=heard, **of)  # fmt: skip
    return book


def peer_message() -> Book:
    book = Book("A peer message: the fields inside, and what does not authenticate or means nothing.")
    fields = {
        "sent_at_ms": NOON,
        "sequence": 3,
        "acknowledged": 2,
        "acknowledged_bits": 5,
        "kind": 1,
        "text_id": b"0123456789abcdef",
        "fragment": 1,
        "fragments": 4,
        "renewal_phase": 3,
        "renewal_round": 99,
        "renewal_key": b"k" * 32,
        "head_length": 12,
        "head_hash": b"h" * 32,
        "end_round": 0,
        "payload": "see you at noon, alice ☺".encode(),
    }
    keys = {name: sha256(name.encode()) for name in ("encryption", "authentication")}
    place = {"conversation": sha256(b"conversation")[:16], "round_number": 77, "direction": 1, "drop": 0}
    iv = sha256(b"iv")[:16]

    def sealed(case: str, content: bytes, signer: str = "alice") -> bytes:
        given = {**keys, **place, "private": world.scalar(signer), "iv": iv, "content": content}
        if case == "seal":
            answer = book.case(case, "seal_peer_message", **given)
        else:
            changed = {"content": content} if signer == "alice" else {"private": given["private"]}
            answer = book.like(case, "seal", **changed)
        return bytes(answer["sealed"])

    content = content_of(fields)
    good = sealed("seal", content)
    name = "open"
    sender = ecdsa_public(world.scalar("alice"))
    book.case(name, "open_peer_message", **keys, sender=sender, **place, sealed=good)
    silent = {**dict.fromkeys(fields, 0), "text_id": bytes(16), "renewal_key": bytes(32),
              "head_hash": bytes(32), "payload": b""}  # fmt: skip
    book.like("open an IDLE", name, sealed=sealed("seal an IDLE", content_of(silent)))
    longest = {**fields, "kind": 4, "payload": book.filler("a piece", 772)}
    book.like("open the longest payload", name, sealed=sealed("seal the longest", content_of(longest)))
    changes = {
        "another conversation": {"conversation": bytes(16)},
        "another round": {"round_number": 78},
        "another direction": {"direction": 0},
        "another drop": {"drop": 1},
        "the first bit flipped": {"sealed": flipped(good, 0, 128)},
        "the last bit flipped": {"sealed": flipped(good, -1)},
        "a block missing": {"sealed": good[:-48] + good[-32:]},
        "empty": {"sealed": b""},
        "random bytes": {"sealed": book.filler("cover", 1024)},
        "from bob": {"sender": ecdsa_public(world.scalar("bob"))},
    }
    for why, change in changes.items():
        book.like(f"refused: {why}", name, refused="PeerMessageError", **change)
    forged = {
        "signed by bob": (content, "bob"),
        "an unknown kind": (content_of({**fields, "kind": 5}), "alice"),
        "an unknown phase": (content_of({**fields, "renewal_phase": 4}), "alice"),
        "a time beyond 2^63": (content_of({**fields, "sent_at_ms": 2**63}), "alice"),
        "something behind the payload": (flipped(content, -1), "alice"),
        "a payload longer than it says": (flipped(content, 139, 2), "alice"),
        "a length beyond the end": (content[:138] + b"\x03\x05" + content[140:], "alice"),
    }
    for why, (plain, signer) in forged.items():
        data = sealed(f"seal {why}", plain, signer)
        book.like(f"refused: {why}", name, refused="PeerMessageError", sealed=data)
    return book


FILES = (invitation, agreement, decision, sync, renewal, peer_message)
