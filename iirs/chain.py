"""The chain file, root of trust, and the join link that names it.

The chain file is TOML, public, and the same for every client and hop. Its SHA-256 is the fingerprint
in the join link ``iirs://HOST:PORT/#FINGERPRINT`` and, as ``chain_id``, enters every key and signature.
The entry's address stands in the link and not in the file, so that a laptop that changes networks keeps
its chain.
"""

from __future__ import annotations

import hashlib
import hmac
import ipaddress
import re
import unicodedata
from dataclasses import dataclass
from typing import Any

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from iirs.errors import ChainError, ImpostorError, LinkError
from iirs.geometry import CHAIN_FILE_MAX, HASH_SIZE, Geometry
from iirs.hexadecimal import hex_bytes
from iirs.noise import B_MAX, MU_MAX, NO_NOISE, Noise
from iirs.plain_toml import parse_plain_toml
from iirs.suite import SUITES

ONE_SERVER = "With one server, whoever runs it could see who talks to whom, and must be trusted not to look."
"""What has to be known of a chain of one; said in these words everywhere."""
DEFAULT_PORT = 12345
EPOCH_ROUNDS_MAX = 120
"""In a longer epoch two people who lost each other would give up their keys before their patience is over."""
MAX_HOPS = 8
MAX_SLOTS = 16
DEFAULT_PREKEY_ROUNDS = 43_200
"""A day of rounds of 2 s."""
CLOCK_TOLERANCE_SECONDS = 3600.0
"""A round that is further than this from one's own clock, ahead or behind, is refused."""
_ADDRESS = re.compile(r"(?P<host>\[[0-9a-fA-F:.]+\]|[A-Za-z0-9._-]+):(?P<port>[0-9]{1,5})")
_NEVER_SHOWN = re.compile(r"[\x00-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069]")
"""Control characters, line separators and direction marks. A list: what is printable changes with Unicode."""
_LINK = re.compile(
    r"(?:iirs://)?(?P<host>\[[0-9a-f:.]+\]|[a-z0-9._-]*[a-z0-9_-])\.?(?::(?P<port>[0-9]{1,5}))?/?"
    r"(?:\s*#(?P<fingerprint>(?:\s*[0-9a-f]){64})/?)?"
)
LINK_MAX = 10_000
"""Characters of what is looked at for a join link: somebody may paste a whole mail, and nobody a book."""
HOST_MAX = 253
LABEL_MAX = 63
"""Characters of a host's name, and of its parts between dots (RFC 1035)."""
_AROUND_LINKS = " \t\r\n\v\f\u00a0<>()\"'`,;.!?\u201c\u201d\u201e\u2018\u2019\u201a\u00ab\u00bb"
"""What stands around a link in a sentence or a mail: white space, brackets, quotes, the end of a sentence."""


@dataclass(frozen=True, slots=True)
class Hop:
    """One mix server as the chain file names it."""

    name: str
    address: str
    """``host:port``, or empty for the entry, whose address is in the link."""
    identity: bytes
    """Ed25519 public key, 32 bytes."""

    @property
    def host_and_port(self) -> tuple[str, int]:
        """Where a later hop listens for the hop before it. Raises ``ValueError`` if that is not said."""
        match = _ADDRESS.fullmatch(self.address)
        if match is None or not 0 < int(match["port"]) < 65536:
            raise ValueError("not host:port")
        return match["host"].strip("[]"), int(match["port"])

    def verify(self, signature: bytes, data: bytes) -> None:
        """Return if this hop signed ``data``. Raises ``ChainError`` if not."""
        try:
            Ed25519PublicKey.from_public_bytes(self.identity).verify(signature, data)
        except InvalidSignature as error:
            raise ChainError("A server of this chain did not sign what it is said to have signed.") from error


@dataclass(frozen=True, slots=True)
class Chain:
    """A parsed chain file; ``chain_id`` is the SHA-256 of its exact bytes."""

    chain_id: bytes
    suite: str
    slots: int
    round_ms: int
    invite_every: int
    epoch_rounds: int
    """Rounds that circuits last; 1 in a chain of one, which has no public keys in its rounds."""
    entry_certificate: bytes
    """SHA-256 of the entry's TLS certificate (DER)."""
    hops: tuple[Hop, ...]
    prekey_rounds: int
    """Rounds after which every client renews the key its invitations are sealed to."""
    noise: Noise
    """What every hop but the last adds to a setup."""

    @property
    def geometry(self) -> Geometry:
        """Every size that follows from this chain."""
        return Geometry(SUITES[self.suite], len(self.hops), self.slots)

    def period(self, round_number: int) -> int:
        """Return the prekey period a round is in."""
        return round_number // self.prekey_rounds

    def rounds_around(self, now: float) -> range:
        """Return the rounds that are not refused at a time (unix seconds): an hour's before and after it.

        Later ones would use up round numbers; earlier ones may have been wrapped for keys that were stolen
        since, of hops that have long erased them.
        """
        current = int(now * 1000) // self.round_ms
        most = int(CLOCK_TOLERANCE_SECONDS * 1000) // self.round_ms
        return range(current - most, current + most + 1)

    @property
    def fingerprint(self) -> str:
        """The chain id as the link writes it: 64 hexadecimal digits."""
        return self.chain_id.hex()


def render_chain(
    *,
    suite: str,
    slots: int,
    round_ms: int,
    invite_every: int,
    epoch_rounds: int,
    entry_certificate: bytes,
    hops: tuple[Hop, ...],
    prekey_rounds: int = DEFAULT_PREKEY_ROUNDS,
    noise: Noise = NO_NOISE,
) -> bytes:
    """Return a chain file. Parsing it back gives these values."""
    lines = [
        "# iirs chain file: public, and the same for every client and server of this chain",
        "version = 1",
        f'suite = "{suite}"',
        f"slots = {slots}",
        f"round_ms = {round_ms}",
        f"invite_every = {invite_every}",
        f"epoch_rounds = {epoch_rounds}",
        f"prekey_rounds = {prekey_rounds}",
        f"noise_mu = {noise.mu}",
        f"noise_b = {noise.b}",
        f"noise_forced = {str(noise.forced).lower()}",
        f'entry_certificate = "{entry_certificate.hex()}"',
    ]
    for hop in hops:
        lines += [
            "",
            "[[hop]]",
            f'name = "{hop.name}"',
            f'address = "{hop.address}"',
            f'identity = "{hop.identity.hex()}"',
        ]
    return ("\n".join(lines) + "\n").encode()


def parse_chain(data: bytes) -> Chain:
    """Return the chain these bytes describe. Raises ``ChainError`` unless every value is in range."""
    if len(data) > CHAIN_FILE_MAX:
        raise ChainError("The chain file is too long to be one.")
    try:
        table = parse_plain_toml(data.decode(), MAX_HOPS)
        epoch_rounds = _in_range(table["epoch_rounds"], 1, 100_000)
        if len(table["hop"]) > 1:
            _in_range(epoch_rounds, 1, EPOCH_ROUNDS_MAX)
        if type(table["version"]) is not int or table["version"] != 1:
            raise ChainError("The chain file is of a version this program does not know.")
        chain = Chain(
            chain_id=hashlib.sha256(data).digest(),
            suite=_one_of(table["suite"], SUITES),
            slots=_in_range(table["slots"], 1, MAX_SLOTS),
            round_ms=_in_range(table["round_ms"], 10, 600_000),
            invite_every=_in_range(table["invite_every"], 1, 1000),
            epoch_rounds=epoch_rounds if len(table["hop"]) > 1 else 1,
            entry_certificate=hex_bytes(table["entry_certificate"], HASH_SIZE, either_case=True),
            hops=tuple(read_hop(hop) for hop in table["hop"]),
            prekey_rounds=_in_range(table["prekey_rounds"], 1, 10_000_000),
            noise=Noise(
                _in_range(table["noise_mu"], 0, MU_MAX),
                _in_range(table["noise_b"], 0, B_MAX),
                _boolean(table["noise_forced"]),
            ),
        )
        _in_range(len(chain.hops), 1, MAX_HOPS)
        _in_range(chain.noise.mu % 2, 0, 0)
        for hop in chain.hops[1:]:
            _ = hop.host_and_port
        # One server in two places would be one owner less to trust than the file says.
        _in_range(len({hop.identity for hop in chain.hops}), len(chain.hops), len(chain.hops))
    except (KeyError, TypeError, ValueError, RecursionError) as error:
        raise ChainError(
            "The chain file is damaged or of another version: a value is missing or out of range."
        ) from error
    if len(chain.hops) > 1 and chain.noise.protects_nothing and not chain.noise.forced:
        raise ChainError(
            "The chain's noise protects nobody from a server that interferes, and the file does not say "
            "that this is on purpose: make the chain anew with more noise."
        )
    return chain


def read_hop(table: dict[str, Any]) -> Hop:
    """Return the hop that one table of the file describes. Raises ``KeyError`` or ``ValueError``."""
    identity = hex_bytes(table["identity"], HASH_SIZE, either_case=True)
    return Hop(_line(table["name"]), _line(table["address"]), identity)


def _boolean(value: object) -> bool:
    if not isinstance(value, bool):
        raise ValueError("neither true nor false")
    return value


def _one_of(value: object, allowed: object) -> str:
    if not isinstance(value, str) or value not in allowed:  # type: ignore[operator]  # any container
        raise ValueError("not one of the known values")
    return value


def _in_range(value: object, smallest: int, largest: int) -> int:
    if type(value) is not int or not smallest <= value <= largest:
        raise ValueError("not a whole number in range")
    return value


def _line(value: object) -> str:
    if not isinstance(value, str) or _NEVER_SHOWN.search(value):
        raise ValueError("not a text that is shown as it is")
    return value


def _host(text: str) -> str:
    """Return the host in a join link, without brackets. Raises ``LinkError`` if no host can be called so."""
    host = text.strip("[]")
    if host != text:
        try:
            ipaddress.ip_address(host)
        except ValueError as error:
            raise LinkError("What stands in brackets in this join link is not an address.") from error
    elif len(host) > HOST_MAX or max(map(len, host.split("."))) > LABEL_MAX:
        raise LinkError(
            "The host in this join link is longer than any: it has {most} characters at most, and {part} "
            "between two dots.",
            most=HOST_MAX,
            part=LABEL_MAX,
        )
    return host


@dataclass(frozen=True, slots=True)
class JoinLink:
    """Where the entry is, and which chain it must show (``None``: whichever it shows first)."""

    host: str
    port: int
    fingerprint: bytes | None = None

    @classmethod
    def parse(cls, text: str) -> JoinLink:
        """Read a link or plain ``host[:port]``, as people paste it.

        Raises ``LinkError`` with what a link looks like. A fingerprint that is not whole is never left out.
        """
        if len(text) > LINK_MAX:
            raise LinkError("That is too long for a join link. Copy the join link alone.")
        seen = "".join(character for character in text if unicodedata.category(character) != "Cf").lower()
        begins = max(seen.find("iirs://"), 0)
        match = _LINK.fullmatch(seen[begins:].replace("%23", "#").strip(_AROUND_LINKS))
        port = int(match["port"] or DEFAULT_PORT) if match else 0
        if not match or not 0 < port < 65536:
            raise LinkError(
                "That is not a join link. One looks like iirs://host:12345/#… with 64 letters and digits "
                "after the #; host:port alone works too, but then the first visit is taken on trust."
            )
        fingerprint = bytes.fromhex("".join(match["fingerprint"].split())) if match["fingerprint"] else None
        return cls(_host(match["host"]), port, fingerprint)

    def __str__(self) -> str:
        """Write the link; ``parse`` reads it back."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"iirs://{host}:{self.port}/" + (f"#{self.fingerprint.hex()}" if self.fingerprint else "")

    def check(self, chain_id: bytes, pinned: bytes | None) -> None:
        """Return if this is the chain that the link and the pin of an earlier visit name.

        Raises ``ImpostorError`` if it is another: nobody can be given a chain of their own. ``chain_id`` is
        the hash of bytes that nobody vouches for, so this comes before they are read.
        """
        if self.fingerprint is not None and not hmac.compare_digest(self.fingerprint, chain_id):
            raise ImpostorError(
                "This server shows another chain than the one that the join link names. Someone may "
                "be in between, or the server was set up anew: ask the person who runs it for its "
                "join link."
            )
        if pinned is not None and not hmac.compare_digest(pinned, chain_id):
            raise ImpostorError(
                "This server shows another chain than the one that was used before. Someone may be in"
                " between, or the server was set up anew: ask the person who runs it for its join "
                "link."
            )
