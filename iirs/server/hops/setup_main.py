"""``iirs-chain``: makes the identities of a chain's hops, and the one file that names them all.

``init`` makes everything at once, for one machine or one owner. Owners who need not trust each other make
their hops with ``hop``, hand each other the public part, and put it together with ``join``.
"""

from __future__ import annotations

import argparse
import os
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from iirs.chain import MAX_HOPS, Chain, Hop, parse_chain, read_hop, render_chain
from iirs.circuit import Layer, Way, initial_block
from iirs.errors import ChainError, ConfigError, IirsError
from iirs.geometry import CELL_SIZE, DROP_ID_SIZE, HASH_SIZE, BatchKind
from iirs.hexadecimal import hex_bytes
from iirs.meter.report import MeterSettings, report
from iirs.noise import NO_NOISE, CircuitCost, Noise, noise_for
from iirs.onion import RoundContext, peel, wrap
from iirs.plain_toml import parse_plain_toml
from iirs.server.keystore import (
    CERTIFICATE_FILE,
    CHAIN_FILE,
    DEFAULT_EPOCH_ROUNDS,
    DEFAULT_INVITE_EVERY,
    DEFAULT_ROUND_SECONDS,
    DEFAULT_SLOTS,
    DEFAULT_SUITE,
    FIRST_START_FILE,
    IDENTITY_FILE,
    KEY_FILE,
    milliseconds,
    write_file,
)
from iirs.standard_streams import program
from iirs.suite import SUITES
from iirs.tls import certificate_hash, make_certificate

HOP_FILE = "hop.toml"
DEFAULT_NOISE_SHARE = 0.25
DEFAULT_LINE_MBIT = 100.0
DEFAULT_LINE_SHARE = 0.25
_FIRST_PORT = 12346
_TRIALS = 50


@dataclass(frozen=True, slots=True)
class _PublicPart:
    """The public part of one hop, as its owner hands it round."""

    hop: Hop
    certificate: bytes | None
    """SHA-256 of the TLS certificate, of the entry only."""


def parse_arguments(arguments: list[str] | None) -> argparse.Namespace:
    """Return the command line's values. Exits with 2 and a sentence if they make no sense."""
    parser = argparse.ArgumentParser(
        prog="iirs-chain", description="Make the identities and the chain file of a chain of servers."
    )
    commands = parser.add_subparsers(dest="command", required=True)

    init = commands.add_parser("init", help="make a whole chain at once, for one machine")
    init.add_argument("folder", type=Path, help="a new folder; each hop gets one of its own in it")
    init.add_argument("--hops", type=int, default=3, help="how many servers, 2 to 8 (default: 3)")
    init.add_argument(
        "--first-port",
        type=int,
        default=_FIRST_PORT,
        help=f"port of hop 1; the next ones follow (default: {_FIRST_PORT})",
    )

    hop = commands.add_parser("hop", help="make one hop: secrets that stay here, and a public part")
    hop.add_argument("folder", type=Path, help="the hop's data directory")
    hop.add_argument("--name", required=True, help="what to call it in the chain file")
    hop.add_argument("--address", default="", help="HOST:PORT where the hop before finds it")
    hop.add_argument("--entry", action="store_true", help="this is the entry, which people connect to")

    join = commands.add_parser("join", help="make the chain file from every hop's public part")
    join.add_argument("parts", type=Path, nargs="+", help=f"each hop's {HOP_FILE}, the entry's first")
    join.add_argument("--output", type=Path, default=Path(CHAIN_FILE), help="where to write the chain file")

    show = commands.add_parser("show", help="say what a chain file means, its noise included")
    show.add_argument("file", type=Path, help="the chain file")

    for command in (init, join):
        for option, default, about in (
            ("--slots", DEFAULT_SLOTS, "conversations each person can have at once"),
            ("--round-seconds", DEFAULT_ROUND_SECONDS, "seconds between rounds"),
            ("--invite-every", DEFAULT_INVITE_EVERY, "rounds between invitations"),
            ("--epoch-rounds", DEFAULT_EPOCH_ROUNDS, "rounds for which a server's key is used"),
        ):
            command.add_argument(
                option, type=type(default), default=default, help=f"{about} (default: {default:g})"
            )
        command.add_argument(
            "--suite",
            choices=sorted(SUITES),
            default=DEFAULT_SUITE,
            help="how keys are agreed on; X25519 costs less, and is not safe from quantum computers "
            f"(default: {DEFAULT_SUITE})",
        )
        command.add_argument(
            "--noise-share",
            type=float,
            default=DEFAULT_NOISE_SHARE,
            help="share of a core that noise may take on each machine (default: 0.25)",
        )
        line = DEFAULT_LINE_MBIT if command is join else None
        command.add_argument(
            "--line-mbit",
            type=float,
            default=line,
            help="what the line between two hops carries, Mbit/s; noise takes a quarter (default: "
            + ("100)" if line else "no line, for hops on one machine)"),
        )
        command.add_argument("--noise-mu", type=int, help="mean number of singles, instead of a share")
        command.add_argument("--noise-b", type=int, help="scale of the noise; goes with --noise-mu")
        command.add_argument(
            "--force", action="store_true", help="take noise that protects nobody, for a test or a lesson"
        )
    return parser.parse_args(arguments)


def main(arguments: list[str] | None = None) -> int:
    """Do one command. Returns 0, 2 if it could not be done, or 130 on Ctrl-C."""
    try:
        return _main(arguments)
    except KeyboardInterrupt:
        return 130


@program("iirs-chain")
def _main(arguments: list[str] | None) -> int:
    return _run(parse_arguments(arguments))


def _run(options: argparse.Namespace) -> int:
    commands = {"init": _init, "hop": _hop, "join": _join, "show": _show}
    try:
        commands[options.command](options)
    except OSError as error:
        print(f"iirs-chain: {error.strerror}: {error.filename}", file=sys.stderr)
        return 2
    except IirsError as error:
        print(f"iirs-chain: {error}", file=sys.stderr)
        return 2
    return 0


def _init(options: argparse.Namespace) -> None:
    if not 2 <= options.hops <= MAX_HOPS:
        raise ConfigError(f"--hops must be 2 to {MAX_HOPS}; a chain of one needs no iirs-chain.")
    if not 0 < options.first_port <= 65536 - options.hops:
        raise ConfigError("--first-port must leave room for a port a hop.")
    if options.folder.exists() and any(options.folder.iterdir()):
        raise ConfigError("The folder is not empty: a chain is made in a new one.")
    noise, bound = _noise(options, options.hops, options.noise_share / options.hops)
    folders = [options.folder / f"hop{number}" for number in range(options.hops)]
    parts = []
    for number, folder in enumerate(folders):
        address = f"127.0.0.1:{options.first_port + number - 1}" if number else ""
        name = f"mix{number}" if number else "entry"
        parts.append(_make_hop(folder, name, address, entry=number == 0))
    chain_file = _render(parts, options, noise)
    for folder in (options.folder, *folders):
        write_file(folder / CHAIN_FILE, chain_file, 0o644)
    _tell(parse_chain(chain_file), bound)
    print("\nStart the last hop first, each in a terminal of its own:\n")
    for folder in reversed(folders[1:]):
        print(f"  iirs-mix --data-dir {folder}")
    print(f"  iirs-server --data-dir {folders[0]}")


def _hop(options: argparse.Namespace) -> None:
    if (options.folder / IDENTITY_FILE).exists():
        raise ConfigError("The folder has an identity already: a hop is made in a new one.")
    if options.entry == bool(options.address):
        raise ConfigError("A hop needs --address HOST:PORT, or --entry, which has none in the file.")
    part = _make_hop(options.folder, options.name, options.address, entry=options.entry)
    text = f"# public: hand it to whoever makes the chain file\n{_render_part(part)}"
    write_file(options.folder / HOP_FILE, text.encode(), 0o644)
    print(text)
    print(f"Hand round {options.folder / HOP_FILE}; everything else in that folder stays secret.")


def _join(options: argparse.Namespace) -> None:
    parts = [_read_part(path) for path in options.parts]
    if parts[0].certificate is None or any(part.certificate is not None for part in parts[1:]):
        raise ConfigError("The first part must be the entry's, made with --entry, and no other.")
    if options.output.exists():
        raise ConfigError(f"{options.output} is there already; a chain file is never changed.")
    noise, bound = _noise(options, len(parts), options.noise_share)
    chain_file = _render(parts, options, noise)
    write_file(options.output, chain_file, 0o644)
    _tell(parse_chain(chain_file), bound)
    print(f"\nEvery owner compares the fingerprint and puts this file beside the identity, as {CHAIN_FILE}.")


def _show(options: argparse.Namespace) -> None:
    _tell(parse_chain(options.file.read_bytes()))


def _make_hop(folder: Path, name: str, address: str, *, entry: bool) -> _PublicPart:
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    identity = Ed25519PrivateKey.generate()
    hop = Hop(name, address, identity.public_key().public_bytes_raw())
    _check_part(hop, entry=entry)
    digest = None
    if entry:
        certificate, key = make_certificate()
        write_file(folder / KEY_FILE, key, 0o600)
        write_file(folder / CERTIFICATE_FILE, certificate, 0o644)
        write_file(folder / FIRST_START_FILE, b"", 0o644)
        digest = certificate_hash(certificate)
    write_file(folder / IDENTITY_FILE, identity.private_bytes_raw(), 0o600)
    return _PublicPart(hop, digest)


def _check_part(hop: Hop, *, entry: bool) -> None:
    if not hop.name.isprintable() or not hop.name or set(hop.name) & {'"', "\\"}:
        raise ConfigError("A hop's name must be printable, without quotes and backslashes.")
    if entry and hop.address:
        raise ConfigError("An entry has no address in its public part: it stands in the join link.")
    try:
        if not entry:
            _ = hop.host_and_port
    except ValueError as error:
        raise ConfigError("--address must be HOST:PORT, an IPv6 address in brackets.") from error


def _render_part(part: _PublicPart) -> str:
    lines = [
        f'name = "{part.hop.name}"',
        f'address = "{part.hop.address}"',
        f'identity = "{part.hop.identity.hex()}"',
    ]
    if part.certificate is not None:
        lines.append(f'entry_certificate = "{part.certificate.hex()}"')
    return "\n".join(lines) + "\n"


def _read_part(path: Path) -> _PublicPart:
    try:
        table = parse_plain_toml(path.read_text("utf-8"), 0)
        hop, certificate = read_hop(table), None
        if "entry_certificate" in table:
            certificate = hex_bytes(table["entry_certificate"], HASH_SIZE, either_case=True)
    except (KeyError, TypeError, ValueError) as error:
        raise ConfigError(f"{path} is not a hop's public part, as iirs-chain hop makes it.") from error
    _check_part(hop, entry=certificate is not None)
    return _PublicPart(hop, certificate)


def _render(parts: list[_PublicPart], options: argparse.Namespace, noise: Noise) -> bytes:
    chain_file = render_chain(
        suite=options.suite,
        slots=options.slots,
        round_ms=milliseconds(options.round_seconds),
        invite_every=options.invite_every,
        epoch_rounds=options.epoch_rounds,
        entry_certificate=parts[0].certificate or b"",
        hops=tuple(part.hop for part in parts),
        noise=noise,
    )
    try:
        parse_chain(chain_file)
    except ChainError as error:
        raise ConfigError(f"These values do not make a chain. {error}") from error
    return chain_file


def _noise(options: argparse.Namespace, hops: int, share: float) -> tuple[Noise, str]:
    """Return the noise asked for, or else as much as ``share`` of a core and the line can carry at each hop.

    And a sentence that says which of the two decided, or nothing.
    """
    if (options.noise_mu is None) != (options.noise_b is None):
        raise ConfigError("--noise-mu and --noise-b go together.")
    if hops == 1:
        return NO_NOISE, ""
    bound = ""
    if options.noise_mu is not None:
        noise = Noise(options.noise_mu, options.noise_b, forced=options.force)
    else:
        sized = partial(
            noise_for,
            measure(options.suite, hops),
            hops=hops,
            round_ms=milliseconds(options.round_seconds),
            epoch_rounds=options.epoch_rounds,
            share=share,
        )
        noise = most = sized()
        bound = "The share of the machine decides how much."
        if options.line_mbit is not None:
            noise = sized(line_bytes=DEFAULT_LINE_SHARE * options.line_mbit * 1e6 / 8)
        if noise.mu < most.mu:
            bound = (
                f"The line of {options.line_mbit:g} Mbit/s decides how much, of which noise takes a quarter; "
                f"the share of the machine would do for a mean of {most.mu:,} singles."
            )
        noise = replace(noise, forced=options.force)
    if noise.protects_nothing and not options.force:
        raise ConfigError(
            "This noise protects nobody: one setup that is interfered with costs epsilon "
            f"{noise.epsilon:.2g}, delta {noise.delta:.1g}. Take more, or --force for a test or a lesson."
        )
    return noise, bound


def measure(suite_name: str, hops: int) -> CircuitCost:
    """Return what a circuit costs here: the fastest of some trials, on one core."""
    suite = SUITES[suite_name]
    pairs = [suite.generate() for _ in range(hops - 1)]
    keys = [suite.load_public(pair.public_bytes) for pair in pairs]
    context = RoundContext(bytes(32), 0, bytes(32))
    drop_id = bytes(DROP_ID_SIZE)

    def make(layers: int) -> bytes:
        return wrap(drop_id, keys[:layers], suite, context, BatchKind.SETUP, os.urandom)[0]

    onion, layer, cell = make(1), Layer(bytes(32)), bytes(CELL_SIZE)

    def carry() -> None:
        for way in Way:
            layer.apply(initial_block(0, way), cell)

    made = {layers: _fastest(partial(make, layers)) for layers in range(1, hops)}
    return CircuitCost(
        made.__getitem__,
        _fastest(lambda: Layer(peel(onion, pairs[0], suite, context, 1, BatchKind.SETUP)[0])),
        _fastest(carry),
    )


def _fastest(work: Callable[[], object]) -> float:
    times = []
    for _ in range(_TRIALS):
        started = time.perf_counter()
        work()
        times.append(time.perf_counter() - started)
    return min(times)


def _tell(chain: Chain, bound: str = "") -> None:
    print(f"fingerprint: {chain.fingerprint}")
    for number, hop in enumerate(chain.hops):
        print(f"  hop {number}: {hop.name} {hop.address or '(its address is in the join link)'}")
    print("", *report(MeterSettings.of(chain)), sep="\n")
    later = len(chain.hops) - 1
    if later:
        rate = 2 * chain.noise.mu * later * CELL_SIZE * 8 / chain.round_ms / 1000
        print(f"\nNoise takes {rate:.3g} Mbit/s each way of the line to the last hop. {bound}".rstrip())


if __name__ == "__main__":
    sys.exit(main())
