"""From a password to keys, and the vault that lets an account work on any machine.

Argon2id (RFC 9106) with parameters fixed here, never taken from a server; then HKDF-SHA-512 with separate
labels: one output is the login secret, the other opens the vault. The server can still guess weak
passwords offline, which is why they are refused, by Dropbox's estimator zxcvbn (USENIX Security 2016); with
``keep keys here`` it never gets the keys at all.
"""

from __future__ import annotations

import hashlib
import hmac
import unicodedata
from dataclasses import dataclass, field

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import ChaCha20Poly1305
from cryptography.hazmat.primitives.hashes import SHA512
from cryptography.hazmat.primitives.kdf.argon2 import Argon2id
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from iirs.client.account.account import Account
from iirs.client.account.giving_way import giving_way
from iirs.directory import encode_name
from iirs.errors import AccountError
from iirs.geometry import VAULT_NONCE_SIZE, RandomBytes
from iirs.identity import Identity

PASSWORD_MIN = 10
_SCORE_MIN = 3
"""Of zxcvbn's 0 to 4: a hundred million guesses or more."""
_ESTIMATED = 40
"""Characters that are judged, from the first on: what follows can only help, and longer ones take long."""


@dataclass(frozen=True, slots=True)
class StretchCost:
    """Argon2id's cost: memory in KiB, passes, lanes."""

    memory_kib: int = 64 * 1024
    passes: int = 3
    lanes: int = 4


STANDARD_COST = StretchCost()
"""RFC 9106's second recommended option."""


@dataclass(frozen=True, slots=True)
class PasswordKeys:
    """What a password opens: the login, and the vault."""

    login_secret: bytes = field(repr=False)
    vault_key: bytes = field(repr=False)


def prepared(password: str) -> str:
    """Return the text a password stands for, however it was typed.

    RFC 8265's OpaqueString: any space is U+0020, and the whole is in normal form C. Nothing is trimmed but
    line breaks at the end, which are pasted along; no letter's case is changed. Bytes that a terminal could
    not decode are UTF-8, and halves of a surrogate pair are joined.
    """
    try:
        text = password.encode("utf-8", "surrogateescape").decode("utf-8")
    except UnicodeError:
        text = password.encode("utf-16", "surrogatepass").decode("utf-16", "surrogatepass")
    spaced = "".join(
        " " if unicodedata.category(character) == "Zs" else character for character in text.rstrip("\r\n")
    )
    return unicodedata.normalize("NFC", spaced)


def check_password(name: str, password: str) -> None:
    """Return if a new password is hard enough to guess. Raises ``AccountError`` if not."""
    password = prepared(password)
    if len(password) < PASSWORD_MIN:
        raise AccountError(
            "Choose a password of at least {count} characters: three or four words.", count=PASSWORD_MIN
        )
    from zxcvbn import zxcvbn  # noqa: PLC0415  # its lists of words take a quarter of a second to read

    if zxcvbn(password[:_ESTIMATED], user_inputs=[name, "iirs"])["score"] < _SCORE_MIN:
        raise AccountError(
            "That password is easy to guess: it is known, or made by a rule. Three or four words that nobody "
            "would put together are good."
        )


def stretch(chain_id: bytes, name: str, password: str, cost: StretchCost = STANDARD_COST) -> PasswordKeys:
    """Return the keys a password stands for on one chain; takes about a quarter of a second on purpose."""
    salt = hashlib.sha256(b"iirs/1 password" + chain_id + encode_name(name)).digest()
    stretched = Argon2id(
        salt=salt, length=64, iterations=cost.passes, lanes=cost.lanes, memory_cost=cost.memory_kib
    ).derive(prepared(password).encode("utf-8", "surrogatepass"))
    return PasswordKeys(
        *(HKDF(SHA512(), 32, None, b"iirs/1 " + label).derive(stretched) for label in (b"login", b"vault"))
    )


def seal_vault(
    keys: PasswordKeys, name: str, identity: Identity, public: bytes, random_bytes: RandomBytes
) -> bytes:
    """Return the identity encrypted under the password; ``public`` (the entry) is bound to it."""
    nonce = random_bytes(VAULT_NONCE_SIZE)
    data = encode_name(name) + public
    return nonce + ChaCha20Poly1305(keys.vault_key).encrypt(nonce, identity.to_bytes(), data)


def open_vault(keys: PasswordKeys, name: str, public: bytes, vault: bytes) -> Identity:
    """Return the identity in a vault. Raises ``AccountError`` if it is not this account's."""
    nonce, sealed = vault[:VAULT_NONCE_SIZE], vault[VAULT_NONCE_SIZE:]
    try:
        data = ChaCha20Poly1305(keys.vault_key).decrypt(nonce, sealed, encode_name(name) + public)
        return Identity.from_bytes(data)
    except (InvalidTag, ValueError) as error:
        raise AccountError(
            "The keys of this account do not open here. If they were kept on one machine only, log in there."
        ) from error


def storage_key(identity: Identity) -> bytes:
    """Return the key that encrypts this account's files on this machine; a new password keeps it."""
    return HKDF(SHA512(), 32, None, b"iirs/1 storage").derive(identity.to_bytes())


def opens(account: Account, password: str, cost: StretchCost) -> bool:
    """Return whether this is the account's password. Blocks as long as logging in does: for a worker."""
    keys = giving_way(stretch, account.chain.chain_id, account.name, password, cost)
    return hmac.compare_digest(keys.login_secret, account.login_secret)
