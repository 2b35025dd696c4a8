"""The people and chains that the vectors speak of. Every private key is made of words, and public."""

from __future__ import annotations

from tests.reference.directory import digests_of, entry_signed, head_signed, name_field, prekey_signed
from tests.reference.hpke import SUITES
from tests.reference.onions import epoch_key_signed
from tests.reference.primitives import (
    ecdsa_public,
    ecdsa_sign,
    ed25519_public,
    ed25519_sign,
    sha256,
)
from tests.vectors.cases import filler

HYBRID = "MLKEM768_X25519"
CHAIN_ID = sha256(b"a chain")
"""Of a chain whose file does not matter."""


def scalar(name: str) -> bytes:
    """A person's private signing key."""
    return b"\0" + sha256(name.encode())[:31]


def entry(name: str, chain_id: bytes = CHAIN_ID, signer: str = "") -> bytes:
    """A person's ENTRY."""
    content = name_field(name) + ecdsa_public(scalar(name))
    return content + ecdsa_sign(scalar(signer or name), entry_signed(chain_id, content))


def private_key(suite: str, label: str) -> bytes:
    """A private key of a suite."""
    return filler(label, SUITES[suite].private_size)


def public_key(suite: str, label: str) -> bytes:
    """The public half of ``private_key``."""
    return SUITES[suite].public_of(private_key(suite, label))


def randomness(suite: str, label: str) -> bytes:
    """What a seal draws."""
    return filler(f"drawn for {label}", 32 if suite == "X25519" else 64)


def prekey(name: str, position: int, period: int, chain_id: bytes = CHAIN_ID) -> bytes:
    """A person's PREKEY of a period."""
    public = public_key(HYBRID, f"{name}'s prekey {period}")
    signed = prekey_signed(chain_id, entry(name, chain_id), period, public)
    fields = position.to_bytes(4, "big") + period.to_bytes(8, "big")
    return fields + public + ecdsa_sign(scalar(name), signed)


def seed(hop: int) -> bytes:
    """The private identity of a hop."""
    return sha256(b"hop %d" % hop)


def chain_file(hops: int, suite: str = "X25519", slots: int = 1, epoch_rounds: int = 30) -> str:
    """A chain file."""
    lines = [
        "version = 1",
        f'suite = "{suite}"',
        f"slots = {slots}",
        "round_ms = 2000",
        "invite_every = 5",
        f"epoch_rounds = {epoch_rounds}",
        "prekey_rounds = 43200",
        "noise_mu = 1000",
        "noise_b = 80",
        "noise_forced = false",
        f'entry_certificate = "{sha256(b"certificate").hex()}"',
    ]
    for hop in range(hops):
        address = f"hop{hop}.example:12346" if hop else ""
        lines += ["", "[[hop]]", f'name = "hop {hop}"', f'address = "{address}"']
        lines.append(f'identity = "{ed25519_public(seed(hop)).hex()}"')
    return "\n".join(lines) + "\n"


def id_of(file: str) -> bytes:
    """The chain id."""
    return sha256(file.encode())


def head(file: str, hops: int, entries: list[bytes], liar: int = -1) -> bytes:
    """The HEAD of these entries; ``liar`` signs another digest."""
    digest, length = digests_of(id_of(file), entries)[-1], len(entries)
    signatures = []
    for hop in range(hops):
        shown = sha256(digest) if hop == liar else digest
        signatures.append(ed25519_sign(seed(hop), head_signed(id_of(file), length, shown)))
    return length.to_bytes(4, "big") + digest + b"".join(signatures)


def epoch_key(
    file: str, suite: str, hop: int, first: int, last: int, *, public: bytes = b"", signer: int = -1
) -> bytes:
    """An EPOCH_KEY."""
    public = public or public_key(suite, f"epoch key of hop {hop} from round {first}")
    fields = bytes([hop]) + first.to_bytes(8, "big") + last.to_bytes(8, "big")
    signed = epoch_key_signed(id_of(file), hop, first, last, public)
    return fields + public + ed25519_sign(seed(hop if signer < 0 else signer), signed)


def flipped(data: bytes, place: int, mask: int = 1) -> bytes:
    """The data with some bits of one byte changed; a place may count from the end."""
    place %= len(data)
    return data[:place] + bytes([data[place] ^ mask]) + data[place + 1 :]
