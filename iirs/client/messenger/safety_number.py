"""Safety numbers: 60 digits that two people compare to know that nobody is in between; and pictures of them.

The number is made of both people's directory entries, keys and all, with SHA-512: 60 decimal digits are
199 bits. To find other keys with the same number takes about 2^199 tries; to find some that agree in the
first 30 digits, about 2^99: so compare all of them, or let a program compare the QR codes.
"""

from __future__ import annotations

import hashlib
import hmac
from dataclasses import dataclass
from functools import lru_cache

DIGITS = 60
_GROUP = 5
_LABEL = b"iirs/1 safety number"
_CELLS = 5


@lru_cache(maxsize=4096)
def safety_number(chain_id: bytes, name: str, fingerprint: bytes, peer: str, peer_fingerprint: bytes) -> str:
    """Return the number of two people: 60 digits, the same from both sides."""
    one, other = sorted([name.encode() + b"\0" + fingerprint, peer.encode() + b"\0" + peer_fingerprint])
    digest = hashlib.sha512(_LABEL + chain_id + len(one).to_bytes(2) + one + other).digest()
    return str(int.from_bytes(digest) % 10**DIGITS).zfill(DIGITS)


def grouped(number: str) -> list[str]:
    """Return a number as 12 groups of 5 digits."""
    return [number[start : start + _GROUP] for start in range(0, len(number), _GROUP)]


def matches(number: str, text: str) -> bool:
    """Return whether ``text``, as somebody pasted or read it out, is this number: only its digits count."""
    digits = "".join(character for character in text if character in "0123456789")
    return hmac.compare_digest(digits.encode(), number.encode())


@dataclass(frozen=True, slots=True)
class Identicon:
    """A picture that stands for a number: filled cells, the same left and right, in one of many colours."""

    hue: float
    """0 to 1."""
    cells: tuple[tuple[bool, ...], ...]
    """Rows from top to bottom."""


def identicon(number: str) -> Identicon:
    """Return a number's picture: 15 cells and a colour, so that another number looks different."""
    digest = hashlib.sha256(b"iirs/1 picture" + number.encode()).digest()
    half = -(-_CELLS // 2)
    rows = []
    for row in range(_CELLS):
        left = [bool(digest[row * half + column] & 1) for column in range(half)]
        rows.append((*left, *reversed(left[: _CELLS // 2])))
    return Identicon(int.from_bytes(digest[-2:]) / 65536, tuple(rows))
