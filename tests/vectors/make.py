"""Writes the test vectors: ``python -m tests.vectors.make``.

Everything here is worked out from the protocol with hashes and ciphers alone, not with the code under
test. The vectors in the repository do not change unless the protocol does.
"""

from __future__ import annotations

import hashlib
import hmac
import json
import struct
from pathlib import Path
from typing import Any

from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.mlkem import MLKEM768PrivateKey
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.argon2 import Argon2id
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

FOLDER = Path(__file__).parent
CHAIN_ID = hashlib.sha256(b"a chain").digest()
Vectors = dict[str, Any]


def expand(key: bytes, info: bytes, length: int = 32, digest: str = "sha256") -> bytes:
    """HKDF-Expand, RFC 5869 section 2.3."""
    block, result, number = b"", b"", 1
    while len(result) < length:
        block = hmac.digest(key, block + info + bytes([number]), digest)
        result, number = result + block, number + 1
    return result[:length]


def hkdf(secret: bytes, info: bytes, digest: str = "sha256") -> bytes:
    """HKDF without a salt, 32 bytes."""
    return expand(hmac.digest(bytes(hashlib.new(digest).digest_size), secret, digest), info, 32, digest)


def sign(key: ec.EllipticCurvePrivateKey, data: bytes) -> bytes:
    r, s = decode_dss_signature(key.sign(data, ec.ECDSA(SHA256())))
    return r.to_bytes(32) + s.to_bytes(32)


def signing_key(seed: bytes) -> ec.EllipticCurvePrivateKey:
    return ec.derive_private_key(int.from_bytes(hashlib.sha256(seed).digest()[:31]), ec.SECP256R1())


def point(key: ec.EllipticCurvePrivateKey) -> bytes:
    return key.public_key().public_bytes(Encoding.X962, PublicFormat.CompressedPoint)


def sync() -> Vectors:
    root = hashlib.sha256(b"root").digest()
    label = b"iirs/1 sync "
    key, start = expand(root, label + b"chain key"), 1000
    rounds = []
    for number in range(start, start + 4):
        places = [(direction, drop) for direction in (0, 1) for drop in (0, 1)]
        rounds.append(
            {
                "round": number,
                "drop_ids": [expand(key, label + b"drop id %d" % drop, 16).hex() for drop in (0, 1)],
                "keys": [
                    {
                        "direction": direction,
                        "drop": drop,
                        "encryption": expand(key, label + b"encryption %d %d" % (direction, drop)).hex(),
                        "authentication": expand(
                            key, label + b"authentication %d %d" % (direction, drop)
                        ).hex(),
                    }
                    for direction, drop in places
                ],
            }
        )
        key = expand(key, label + b"step")
    return {
        "root": root.hex(),
        "start_round": start,
        "conversation": expand(root, label + b"conversation", 16).hex(),
        "chain_id": expand(root, label + b"chain id", 16).hex(),
        "rounds": rounds,
        "refused": [
            {"why": "the round is over", "after": 1002, "round": 1002, "error": "ValueError"},
            {"why": "the round is long over", "after": 1002, "round": 1000, "error": "ValueError"},
            {"why": "the gap is too long", "after": 1002, "round": 1003 + 2**18 + 1, "error": "StoreError"},
        ],
    }


def entry_channel() -> Vectors:
    certificate, key_id = hashlib.sha256(b"certificate").digest(), hashlib.sha256(b"key").digest()
    announcement = hashlib.sha256(b"announcement").digest()
    secret, onion = hashlib.sha256(b"secret").digest(), b"onion"
    key = hkdf(secret, b"iirs/1 entry start" + b"iirs/1 entry offer" + CHAIN_ID + certificate + key_id)
    cases = []
    for epoch in (7, 8, 9):
        for direction, kind, index in (("up", 0, 0), ("up", 1, 4), ("down", 0, 3)):
            number = epoch * 30 + 5
            cipher = AESGCM(hkdf(key, b"iirs/1 entry " + direction.encode()))
            data = b"iirs/1 onion" + CHAIN_ID + struct.pack(">BQB", 0, number, kind) + announcement
            sealed = cipher.encrypt(struct.pack(">QI", number, index), onion, data)
            place = {"epoch": epoch, "round": number, "kind": kind, "index": index}
            cases.append({"direction": direction, **place, "sealed": sealed.hex()})
        key = hkdf(key, b"iirs/1 entry next epoch")
    good = cases[0]
    return {
        "chain_id": CHAIN_ID.hex(),
        "certificate_hash": certificate.hex(),
        "key_id": key_id.hex(),
        "announcement_hash": announcement.hex(),
        "secret": secret.hex(),
        "first_epoch": 7,
        "plaintext": onion.hex(),
        "sealed": cases,
        "refused": [
            {**good, "why": "another index", "index": 1},
            {**good, "why": "another kind", "kind": 1},
            {**good, "why": "another round", "round": 216},
            {**good, "why": "another direction", "direction": "down"},
            {**good, "why": "another epoch", "epoch": 8},
            {**good, "why": "an epoch that is over", "epoch": 6},
            {**good, "why": "an epoch too far ahead", "epoch": 8 + 2**16},
            {**good, "why": "cut off", "sealed": good["sealed"][:-2]},
            {**good, "why": "empty", "sealed": ""},
        ],
    }


def directory_entry(name: str) -> bytes:
    key = signing_key(name.encode())
    content = bytes([len(name)]) + name.encode().ljust(32, b"\0") + point(key)
    return content + sign(key, b"iirs/1 directory entry" + CHAIN_ID + content)


def directory() -> Vectors:
    entries = [directory_entry(name) for name in ("alice", "bob")]
    digests = [hashlib.sha256(b"iirs/1 directory chain" + CHAIN_ID).digest()]
    for entry in entries:
        digests.append(hashlib.sha256(b"iirs/1 directory chain" + digests[-1] + entry).digest())
    alice = entries[0]
    return {
        "chain_id": CHAIN_ID.hex(),
        "names": ["alice", "bob"],
        "entries": [entry.hex() for entry in entries],
        "digests": [digest.hex() for digest in digests],
        "refused": [
            {"why": "a letter of the name changed", "entry": (b"\x05bl" + alice[3:]).hex()},
            {"why": "an upper-case name", "entry": (b"\x05A" + alice[2:]).hex()},
            {"why": "another key", "entry": (alice[:33] + entries[1][33:66] + alice[66:]).hex()},
            {"why": "a key that is no point", "entry": (alice[:33] + bytes(33) + alice[66:]).hex()},
            {"why": "another signature", "entry": (alice[:-64] + entries[1][-64:]).hex()},
            {"why": "no signature", "entry": (alice[:-64] + bytes(64)).hex()},
            {"why": "a byte missing", "entry": alice[:-1].hex()},
        ],
    }


def prekey() -> Vectors:
    entries = [directory_entry(name) for name in ("alice", "bob")]
    seed = hashlib.sha512(b"alice's prekey").digest()
    public = MLKEM768PrivateKey.from_seed_bytes(seed).public_key().public_bytes_raw()
    public += X25519PrivateKey.from_private_bytes(seed[:32]).public_key().public_bytes_raw()
    period = 2**40 + 5

    def record(
        signer: str, entry: bytes, key: bytes, at: int = period, label: bytes = b"iirs/1 prekey"
    ) -> str:
        signed = label + CHAIN_ID + hashlib.sha256(entry).digest() + at.to_bytes(8) + key
        return (bytes(4) + at.to_bytes(8) + key + sign(signing_key(signer.encode()), signed)).hex()

    good = bytes.fromhex(record("alice", entries[0], public))
    return {
        "chain_id": CHAIN_ID.hex(),
        "entry": entries[0].hex(),
        "position": 0,
        "period": period,
        "public": public.hex(),
        "id": hashlib.sha256(public).digest()[:8].hex(),
        "record": good.hex(),
        "refused": [
            {"why": "signed by bob", "record": record("bob", entries[0], public)},
            {"why": "signed for bob's entry", "record": record("alice", entries[1], public)},
            {"why": "another label", "record": record("alice", entries[0], public, label=b"iirs/1 entry")},
            {"why": "another period", "record": (good[:11] + bytes([good[11] ^ 1]) + good[12:]).hex()},
            {"why": "another key", "record": (good[:12] + bytes([good[12] ^ 1]) + good[13:]).hex()},
            {"why": "no signature", "record": (good[:-64] + bytes(64)).hex()},
            {"why": "a key of small order", "record": record("alice", entries[0], public[:-32] + bytes(32))},
            {"why": "a byte missing", "record": good[:-1].hex()},
            {"why": "a byte too many", "record": good.hex() + "00"},
            {"why": "empty", "record": ""},
        ],
    }


def password_keys(chain_id: bytes, name: str, password: str, cost: tuple[int, int, int]) -> Vectors:
    field = bytes([len(name)]) + name.encode().ljust(32, b"\0")
    salt = hashlib.sha256(b"iirs/1 password" + chain_id + field).digest()
    memory, passes, lanes = cost
    argon = Argon2id(salt=salt, length=64, iterations=passes, lanes=lanes, memory_cost=memory)
    stretched = argon.derive(password.encode())
    return {
        "chain_id": chain_id.hex(),
        "name": name,
        "password": password,
        "memory_kib": memory,
        "passes": passes,
        "lanes": lanes,
        "login_secret": hkdf(stretched, b"iirs/1 login", "sha512").hex(),
        "vault_key": hkdf(stretched, b"iirs/1 vault", "sha512").hex(),
    }


def passwords() -> Vectors:
    cheap, standard = (64, 1, 1), (64 * 1024, 3, 4)
    good = password_keys(CHAIN_ID, "alice", "correct horse battery", cheap)
    other = {"another name": {"name": "bob"}, "another password": {"password": "correct horse batterz"}}
    other["another chain"] = {"chain_id": bytes(32).hex()}
    other["a space more"] = {"password": "correct horse battery "}
    return {
        "keys": [
            good,
            password_keys(CHAIN_ID, "alice", "correct horse battery", standard),
            password_keys(CHAIN_ID, "b.o-b_7", "schöne grüße, 你好", cheap),
        ],
        "not_these_keys": [{**good, **change, "why": why} for why, change in other.items()],
    }


def peer_message() -> Vectors:
    key = signing_key(b"alice")
    encryption, authentication = (hashlib.sha256(label).digest() for label in (b"enc", b"mac"))
    conversation = hashlib.sha256(b"conversation").digest()[:16]
    context = conversation + struct.pack(">QBB", 77, 1, 0)
    payload = "see you at noon, alice ☺".encode()

    def content(kind: int, length: int) -> bytes:
        numbers = struct.pack(">QQQQB16sHH", 1_700_000_000_000, 3, 2, 5, kind, b"0123456789abcdef", 1, 4)
        rest = struct.pack(">BQ32sI32sQH", 3, 99, b"k" * 32, 12, b"h" * 32, 0, length)
        return (numbers + rest + payload).ljust(976 - 64, b"\0")

    def seal(plain: bytes, signer: ec.EllipticCurvePrivateKey = key) -> bytes:
        signature = sign(signer, b"iirs/1 peer message signature" + context + plain)
        iv = hashlib.sha256(b"iv").digest()[:16]
        encryptor = Cipher(algorithms.AES(encryption), modes.CBC(iv)).encryptor()
        sealed = iv + encryptor.update(signature + plain) + encryptor.finalize()
        label = b"iirs/1 peer message mac"
        return sealed + hmac.digest(authentication, label + context + sealed, "sha256")

    place = {"conversation": conversation.hex(), "round": 77, "direction": 1, "drop": 0}
    sealed = seal(content(1, len(payload)))
    good = {**place, "sealed": sealed.hex()}
    return {
        "encryption": encryption.hex(),
        "authentication": authentication.hex(),
        "sender": point(key).hex(),
        "context": context.hex(),
        **good,
        "mac": sealed[-32:].hex(),
        "fields": {
            "sent_at_ms": 1_700_000_000_000,
            "sequence": 3,
            "acknowledged": 2,
            "acknowledged_bits": 5,
            "kind": 1,
            "text_id": b"0123456789abcdef".hex(),
            "fragment": 1,
            "fragments": 4,
            "renewal_phase": 3,
            "renewal_round": 99,
            "renewal_key": (b"k" * 32).hex(),
            "head_length": 12,
            "head_hash": (b"h" * 32).hex(),
            "end_round": 0,
            "payload": payload.hex(),
        },
        "refused": [
            {**good, "why": "another conversation", "conversation": bytes(16).hex()},
            {**good, "why": "another round", "round": 78},
            {**good, "why": "another direction", "direction": 0},
            {**good, "why": "another drop", "drop": 1},
            {**good, "why": "first bit flipped", "sealed": (bytes([sealed[0] ^ 128]) + sealed[1:]).hex()},
            {**good, "why": "last bit flipped", "sealed": (sealed[:-1] + bytes([sealed[-1] ^ 1])).hex()},
            {**good, "why": "a block missing", "sealed": (sealed[:-48] + sealed[-32:]).hex()},
            {**good, "why": "empty", "sealed": ""},
            {**good, "why": "signed by bob", "sealed": seal(content(1, 5), signing_key(b"bob")).hex()},
            {**good, "why": "an unknown kind", "sealed": seal(content(99, 5)).hex()},
            {**good, "why": "a length beyond the end", "sealed": seal(content(1, 65535)).hex()},
        ],
    }


def main() -> None:
    for make in (sync, entry_channel, directory, prekey, passwords, peer_message):
        path = FOLDER / f"{make.__name__}.json"
        path.write_text(json.dumps(make(), indent=1, ensure_ascii=False) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
