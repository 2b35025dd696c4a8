"""The chain file and the join link: ``docs/protocol.md``, "Chain file, join link, TLS"."""

from __future__ import annotations

import math
import re
import tomllib
import unicodedata
from dataclasses import dataclass
from typing import Any

from tests.reference.hpke import SUITES, Kem
from tests.reference.primitives import RefusedError, Values, demand, ed25519_check, sha256

DEFAULT_PORT = 12345


@dataclass(frozen=True, slots=True)
class Chain:
    """What every other operation needs of a chain file."""

    chain_id: bytes
    table: dict[str, Any]

    @property
    def suite(self) -> str:
        """The suite's name."""
        return str(self.table["suite"])

    @property
    def kem(self) -> Kem:
        """The suite; P is its ``public_size``, E its ``overhead``."""
        return SUITES[self.suite]

    @property
    def hops(self) -> int:
        """How many hops: n."""
        return len(self.table["hop"])

    @property
    def epoch_rounds(self) -> int:
        """Rounds that circuits last: e."""
        return int(self.table["epoch_rounds"]) if self.hops > 1 else 1

    @property
    def slots(self) -> int:
        """Slots a person: s."""
        return int(self.table["slots"])

    def check_signed(self, hop: int, signature: bytes, data: bytes) -> None:
        """Return if a hop signed the data."""
        ed25519_check(bytes.fromhex(self.table["hop"][hop]["identity"]), signature, data)


RANGES = {
    "version": (1, 1),
    "slots": (1, 16),
    "round_ms": (10, 600000),
    "invite_every": (1, 1000),
    "epoch_rounds": (1, 100000),
    "prekey_rounds": (1, 10000000),
    "noise_mu": (0, 10000000),
    "noise_b": (0, 1000000),
}


def chain_of(file: str) -> Chain:
    """Return the chain of a file that is valid."""
    data = file.encode()
    demand(len(data) <= 65536, "too long")
    for line in file.split("\n"):
        _check_plain(line.strip(" \t\r"))
    try:
        table = tomllib.loads(file)
        for key, (least, most) in RANGES.items():
            demand(type(table[key]) is int and least <= table[key] <= most, f"{key} is out of range")
        demand(table["suite"] in SUITES, "an unknown suite")
        demand(table["noise_mu"] % 2 == 0, "noise_mu is odd")
        demand(type(table["noise_forced"]) is bool, "noise_forced is neither true nor false")
        _check_hash(table["entry_certificate"])
        hops = table["hop"]
        demand(1 <= len(hops) <= 8, "too many hops")
        demand(len(hops) == 1 or table["epoch_rounds"] <= 120, "too long an epoch")
        for place, hop in enumerate(hops):
            _check_hash(hop["identity"])
            demand(_is_line(hop["name"]), "no name")
            demand(_is_line(hop["address"]), "no address")
            demand(place == 0 or _is_address(hop["address"]), "no address")
    except (tomllib.TOMLDecodeError, KeyError, TypeError) as error:
        raise RefusedError("a value is missing, or it is no TOML") from error
    demand(len({hop["identity"].lower() for hop in hops}) == len(hops), "one identity twice")
    demand(len(hops) == 1 or table["noise_forced"] or _protects(table), "noise that protects nothing")
    return Chain(sha256(data), table)


def _check_plain(line: str) -> None:
    """Return if a line is empty, ``[[hop]]``, or a key and a value; a comment may follow each."""
    if line.startswith("[["):
        name, end, rest = line[2:].partition("]]")
        demand(end != "" and _is_bare(name), "no name of a table")
    elif line == "" or line.startswith("#"):
        return
    else:
        key, equals, value = line.partition("=")
        demand(equals != "" and _is_bare(key.rstrip(" \t")), "no bare key")
        rest = _after_value(value.lstrip(" \t"))
    rest = rest.lstrip(" \t")
    demand(rest == "" or rest.startswith("#"), "something follows")


def _is_bare(name: str) -> bool:
    return 1 <= len(name) <= 64 and all(c.isascii() and (c.isalnum() or c in "_-") for c in name)


def _after_value(text: str) -> str:
    """Return what follows a string, a number or a truth."""
    if text[:1] in {'"', "'"}:
        place = 1
        while place < len(text) and text[place] != text[0]:
            place += 2 if text[0] == '"' and text[place] == "\\" else 1
        demand(place < len(text), "a string without end")
        return text[place + 1 :]
    size = 0
    while size < len(text) and text[size].isascii() and (text[size].isalnum() or text[size] in "+_.:-"):
        size += 1
    demand(1 <= size <= 64, "no value")
    return text[size:]


def _check_hash(text: Any) -> None:
    demand(isinstance(text, str) and re.fullmatch("[0-9a-fA-F]{64}", text) is not None, "not 64 digits")


def _is_line(value: Any) -> bool:
    """A text without control characters, line separators and direction marks."""
    hidden = {0x7F, *range(0x20), *range(0x80, 0xA0), 0x61C, 0x200E, 0x200F, *range(0x2028, 0x202F)}
    hidden |= set(range(0x2066, 0x206A))
    return isinstance(value, str) and not hidden & {ord(character) for character in value}


def _is_address(text: str) -> bool:
    match = re.fullmatch(r"(\[[0-9a-fA-F:.]+\]|[A-Za-z0-9._-]+):([0-9]{1,5})", text)
    return match is not None and 0 < int(match[2]) < 65536


def _protects(table: dict[str, Any]) -> bool:
    """Noise that costs more a round than epsilon 0.5 or delta 1e-4 protects nothing (threat model)."""
    mu, b = table["noise_mu"], table["noise_b"]
    return b > 0 and 4 / b <= 0.5 and math.exp(min(0.0, (2 - mu) / b)) <= 1e-4


def read_chain(*, file: str) -> Values:
    """A chain file, with the id of its exact bytes."""
    chain = chain_of(file)
    names = ("suite", "slots", "round_ms", "invite_every", "prekey_rounds")
    values = {name: chain.table[name] for name in names} | {"epoch_rounds": chain.epoch_rounds}
    values |= {name: chain.table[name] for name in ("noise_mu", "noise_b", "noise_forced")}
    hops = [
        {"name": hop["name"], "address": hop["address"], "identity": bytes.fromhex(hop["identity"])}
        for hop in chain.table["hop"]
    ]
    certificate = bytes.fromhex(chain.table["entry_certificate"])
    return {"chain_id": chain.chain_id, **values, "entry_certificate": certificate, "hops": hops}


AROUND_LINKS = " \t\r\n\v\f\u00a0<>()\"'`,;.!?\u201c\u201d\u201e\u2018\u2019\u201a\u00ab\u00bb"


def read_link(*, link: str) -> Values:
    """A join link as people paste it; without a fingerprint that field is empty."""
    link = "".join(letter for letter in link if unicodedata.category(letter) != "Cf").lower()
    _, scheme, after = link.partition("iirs://")
    link = (after if scheme else link).replace("%23", "#").strip(AROUND_LINKS)
    address, mark, digits = link.partition("#")
    digits = re.sub(r"\s", "", digits)
    demand(not mark or re.fullmatch("[0-9a-f]{64}", digits) is not None, "no whole fingerprint")
    match = re.fullmatch(r"(\[[0-9a-f:.]+\]|[a-z0-9._-]*[a-z0-9_-])\.?(?::([0-9]{1,5}))?/?", address)
    if match is None:
        raise RefusedError("no link")
    port = int(match[2] or DEFAULT_PORT)
    demand(0 < port < 65536, "no port")
    return {"host": match[1].strip("[]"), "port": port, "fingerprint": bytes.fromhex(digits)}
