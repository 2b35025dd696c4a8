"""Passwords, vaults, and what is said before a session: ``docs/protocol.md``, "Accounts"."""

from __future__ import annotations

import re
import unicodedata

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import ChaCha20Poly1305
from cryptography.hazmat.primitives.kdf.argon2 import Argon2id

from tests.reference.chain import chain_of
from tests.reference.directory import ENTRY_SIZE, PREKEY_SIZE, head_of, name_field, name_of, read_entry
from tests.reference.frames import ACCOUNT, DIRECTORY, LOGIN, REGISTER, body_of
from tests.reference.primitives import RefusedError, Values, cut, demand, ecdsa_public, hkdf, number, sha256

SPACES = "[\u0020\u00a0\u1680\u2000-\u200a\u202f\u205f\u3000]"
"""The characters of category Zs."""


def prepared_password(password: str) -> str:
    """RFC 8265's OpaqueString without its refusals: spaces become U+0020, then normal form C.

    Line breaks at the end are no part of it.
    """
    spaced = re.sub(SPACES, " ", re.sub(r"[\r\n]+\Z", "", password))
    return unicodedata.normalize("NFC", spaced)


def stretch_password(
    *, chain_id: bytes, name: str, password: str, memory_kib: int, passes: int, lanes: int
) -> Values:
    """What a password stands for. Memory, passes and lanes are constants of the protocol."""
    salt = sha256(b"iirs/1 password", chain_id, name_field(name))
    argon = Argon2id(salt=salt, length=64, iterations=passes, lanes=lanes, memory_cost=memory_kib)
    stretched = argon.derive(prepared_password(password).encode())
    secret, vault = (hkdf(stretched, b"iirs/1 " + use, digest="sha512") for use in (b"login", b"vault"))
    return {"login_secret": secret, "vault_key": vault}


def seal_vault(*, vault_key: bytes, name: str, entry: bytes, private: bytes, nonce: bytes) -> Values:
    """A VAULT made with this nonce."""
    data = name_field(name) + entry
    return {"vault": nonce + ChaCha20Poly1305(vault_key).encrypt(nonce, private, data)}


def open_vault(*, vault_key: bytes, name: str, entry: bytes, vault: bytes) -> Values:
    """The private scalar in a VAULT."""
    nonce, sealed = cut(vault, 12, 48)
    try:
        private = ChaCha20Poly1305(vault_key).decrypt(nonce, sealed, name_field(name) + entry)
    except InvalidTag as error:
        raise RefusedError("it does not open") from error
    ecdsa_public(private)
    return {"private": private}


def login_ticket(*, chain_id: bytes, vault: bytes) -> Values:
    """The ticket of whoever has had this VAULT."""
    return {"ticket": sha256(b"iirs/1 login ticket", chain_id, vault)}


def read_register(*, chain_id: bytes, frame: bytes) -> Values:
    """REGISTER, with an entry that verifies."""
    entry, secret, vault = cut(body_of(frame, REGISTER), ENTRY_SIZE, 32, 60)
    name = read_entry(chain_id=chain_id, entry=entry)["name"]
    return {"name": name, "entry": entry, "login_secret": secret, "vault": vault}


def read_login(*, file: str, frame: bytes) -> Values:
    """LOGIN."""
    offer_size = 32 + chain_of(file).kem.overhead
    name, secret, ticket, key_id, offer = cut(body_of(frame, LOGIN), 33, 32, 32, 32, offer_size)
    return {
        "name": name_of(name),
        "login_secret": secret,
        "ticket": ticket,
        "key_id": key_id,
        "offer": offer,
    }


def read_account(*, frame: bytes) -> Values:
    """ACCOUNT."""
    position, last_round, vault = cut(body_of(frame, ACCOUNT), 4, 8, 60)
    return {"position": number(position), "last_round": number(last_round), "vault": vault}


def read_directory(*, file: str, frame: bytes) -> Values:
    """DIRECTORY, with a head that every hop signed; entries and prekeys as they stand."""
    chain = chain_of(file)
    body = body_of(frame, DIRECTORY)
    demand(len(body) >= 40 + 64 * chain.hops, "cut off")
    head, rest = body[: 36 + 64 * chain.hops], body[36 + 64 * chain.hops :]
    length, digest = head_of(chain, head)
    count, rest = number(rest[:4]), rest[4:]
    prekeys, left = divmod(len(rest) - count * ENTRY_SIZE, PREKEY_SIZE)
    demand(count <= 100_000 and prekeys >= 0 and left == 0, "cut off")
    pieces = cut(rest, *[ENTRY_SIZE] * count, *[PREKEY_SIZE] * prekeys)
    hashes = [sha256(piece) for piece in pieces[count:]]
    return {"length": length, "digest": digest, "entries": pieces[:count], "prekey_hashes": hashes}
