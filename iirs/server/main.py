"""``iirs-server``: sets up mix net, dead drops and the listener together."""

from __future__ import annotations

import argparse
import io
import logging
import sys
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path

from iirs.chain import DEFAULT_PORT, ONE_SERVER, Chain, JoinLink
from iirs.errors import ConfigError, ExtraMissingError
from iirs.meter.report import MeterSettings, read_meter
from iirs.paths import data_directory
from iirs.server.accounts.database import Storage
from iirs.server.glass_box import GlassBox
from iirs.server.keystore import (
    CLOCK_FILE,
    FIRST_START_FILE,
    ChainOptions,
    hold_folder,
    load_or_make_keys,
    make_keys,
)
from iirs.server.net.addresses import is_loopback, reachable
from iirs.server.net.descriptors import allowed, raise_limit
from iirs.server.service import Service
from iirs.server.settings import ServiceSettings
from iirs.server.spare_memory import SpareMemory
from iirs.server.stop_signal import StopSignal
from iirs.standard_streams import can_be_written, program

_TRUST_ALONE = (
    f"note: {ONE_SERVER} The network, and everybody else, learns only who is registered and who is online."
)
_TRUST_CHAIN = (
    "note: who talks to whom is hidden if any one of the chain's {hops} servers is honest; the network, and "
    "everybody else, learns only who is registered and who is online"
)

_ONLY_HERE = (
    "note: nobody on another machine can use this join link, because the server listens on this machine's "
    "own address, or the machine has no other; see --host"
)

_FEW_DESCRIPTORS = (
    "note: this system lets the server have {limit} open files, so at most {connections} people are served "
    "at once; raise the hard limit (ulimit -Hn, LimitNOFILE=) for more"
)

_DATABASE_FILE = "server.sqlite"
_ACCOUNTS_GONE = (
    "The chain in the data directory has been in use, but the database is missing or empty: without the "
    f"accounts anybody could register under anybody's name. Restore it ({_DATABASE_FILE}, or what "
    "--database-url names) from a copy. To begin with nobody registered, make an empty file "
    f"{FIRST_START_FILE} in the data directory."
)


def parse_arguments(arguments: list[str] | None) -> argparse.Namespace:
    """Return the command line's values. Exits with 2 and a sentence if they make no sense."""
    parser = argparse.ArgumentParser(
        prog="iirs-server", description="Run an iirs server: people connect with the join link it prints."
    )
    parser.add_argument("--host", default="0.0.0.0", help="address to listen on (default: all)")  # noqa: S104  # a server for a classroom listens to the classroom
    parser.add_argument(
        "--port", type=int, default=DEFAULT_PORT, help=f"port (default: {DEFAULT_PORT}); 0 picks a free one"
    )
    parser.add_argument("--data-dir", type=Path, help="where accounts and keys are kept")
    parser.add_argument("--ephemeral", action="store_true", help="keep nothing: all is gone at the end")
    parser.add_argument(
        "--round-seconds", type=float, help="for a new chain: seconds between rounds (default: 2)"
    )
    parser.add_argument(
        "--slots", type=int, help="for a new chain: conversations each person can have at once (default: 2)"
    )
    parser.add_argument("--database-url", help="SQLAlchemy URL (default: SQLite in the data directory)")
    parser.add_argument("--qr", action="store_true", help="draw the join link as a QR code, terminal or not")
    parser.add_argument("--glass-box", type=Path, help="write what this hop sees to a file, openly marked")
    parser.add_argument(
        "--log-level",
        choices=["debug", "info", "warning"],
        default="warning",
        help="how much to say (default: warning)",
    )
    return parser.parse_args(arguments)


def build_service(options: argparse.Namespace, settings: ServiceSettings) -> Service:
    """Return a service ready to start. Raises ``ConfigError``."""
    chain_options = ChainOptions(options.slots, options.round_seconds)
    if options.ephemeral:
        if options.data_dir or options.database_url:
            raise ConfigError(
                "--ephemeral keeps nothing, so it goes with neither --data-dir nor --database-url."
            )
        return Service(make_keys(chain_options), Storage("sqlite://"), settings)
    folder = _folder(options)
    keys = load_or_make_keys(folder, chain_options)
    storage = _storage(options.database_url, folder)
    if (folder / CLOCK_FILE).exists():
        storage.number_rounds_from(int(settings.clock() * 1000) // keys.chain.round_ms)
        (folder / CLOCK_FILE).unlink()
    return Service(keys, storage, settings)


def _storage(url: str | None, folder: Path) -> Storage:
    """Return the accounts of the chain in ``folder``. Raises ``ConfigError`` if they are gone."""
    file, mark = folder / _DATABASE_FILE, folder / FIRST_START_FILE
    is_first = mark.exists()
    if not url and not is_first and (not file.exists() or not file.stat().st_size):
        raise ConfigError(_ACCOUNTS_GONE)  # before a file is made that would look like one
    storage = Storage(url or file)
    if not is_first and not storage.has_begun():
        storage.close()
        raise ConfigError(_ACCOUNTS_GONE)
    storage.begin()
    mark.unlink(missing_ok=True)
    return storage


def main(arguments: list[str] | None = None) -> int:
    """Run a server until Ctrl-C or SIGTERM. Returns 0, or 2 if it could not start."""
    stop = StopSignal()  # first: a signal that comes while all is set up ends the server as any other does
    serve = program("iirs-server", goes_on=True)(lambda given: _serve(parse_arguments(given), stop))
    return serve(arguments)


def _serve(options: argparse.Namespace, stop: StopSignal) -> int:
    logging.basicConfig(level=options.log_level.upper(), format="%(asctime)s %(name)s %(message)s")
    logging.getLogger("apscheduler").setLevel(logging.ERROR)  # a tick left out is said in our own words
    try:
        with ExitStack() as stack:
            if not options.ephemeral:
                stack.enter_context(hold_folder(_folder(options)))
            settings = _bounded(ServiceSettings(), raise_limit())
            if options.glass_box is not None:
                box = stack.enter_context(GlassBox(options.glass_box, 0))
                settings = replace(settings, observe=box.drops, observe_stage=box.stage)
                print(f"iirs-server: {box.warning}", file=sys.stderr)
            return _run(options, settings, stop)
    except ConfigError as error:
        print(f"iirs-server: {error}", file=sys.stderr)
        return 2
    except OSError as error:  # no folder for what TLS reads from a file, no thread, no descriptor
        print(f"iirs-server: {error.strerror or error}", file=sys.stderr)
        return 2


def _bounded(settings: ServiceSettings, limit: int | None) -> ServiceSettings:
    """Return settings that so many file descriptors are enough for; say so if that is less than usual."""
    wanted = settings.max_connections, settings.lobby.total
    connections, waiting = allowed(limit, *wanted)
    if (connections, waiting) == wanted:
        return settings
    print(f"iirs-server: {_FEW_DESCRIPTORS.format(limit=limit, connections=connections)}", file=sys.stderr)
    lobby = replace(settings.lobby, total=waiting)
    return replace(settings, max_connections=connections, lobby=lobby)


def _run(options: argparse.Namespace, settings: ServiceSettings, stop: StopSignal) -> int:
    service = build_service(options, settings)
    port = service.start(options.host, options.port)
    try:
        link, *others = _links(options.host, service, port)
    except ConfigError:
        service.stop()
        raise
    for line in _trust(service.chain):
        print(f"iirs-server: {line}", file=sys.stderr)
    for other in others:
        print(
            f"iirs-server: note: another join link, by another address of this machine: {other}",
            file=sys.stderr,
        )
    if is_loopback(service.address) or is_loopback(link.host):  # a name may stand for 127.0.1.1
        print(f"iirs-server: {_ONLY_HERE}", file=sys.stderr)
    print(f"iirs-server ready: {link}", flush=True)
    if options.qr or sys.stdout.isatty():
        _draw(link)
    spare = SpareMemory()
    while not stop.wait(1.0):  # a bounded wait, so that signals arrive on every platform
        service.tidy()
        spare.give_back()
    service.stop()
    return 0


def _draw(link: JoinLink) -> None:
    try:
        lines = qr_lines(str(link))
    except ExtraMissingError as error:
        print(f"iirs-server: {error}", file=sys.stderr)
        return
    if can_be_written(lines, sys.stdout):
        print(lines, flush=True)
    else:  # an output without block characters; the link above is enough to go on
        print("iirs-server: this output cannot show a QR code", file=sys.stderr)


def qr_lines(text: str) -> str:
    """Return the QR code of a text as lines for a terminal. Raises ``ExtraMissingError`` without segno."""
    try:
        import segno  # noqa: PLC0415  # a server can do without
    except ImportError as error:
        raise ExtraMissingError("no QR code: segno is not installed (pip install segno)") from error
    written = io.StringIO()
    segno.make_qr(text, error="l").terminal(written, compact=True)
    return written.getvalue()


def _trust(chain: Chain) -> list[str]:
    """Return whom one has to trust here, and what the chain's noise is worth."""
    hops = len(chain.hops)
    if hops == 1:
        return [_TRUST_ALONE]
    meter = read_meter(MeterSettings.of(chain))
    return [_TRUST_CHAIN.format(hops=hops), f"note: {meter.verdict}", f"note: {meter.trust[0]}"]


def _folder(options: argparse.Namespace) -> Path:
    return options.data_dir or data_directory("iirs-server")


def _links(host: str, service: Service, port: int) -> list[JoinLink]:
    """Return the links to hand out, the best first."""
    named = host.removeprefix("[").removesuffix("]")
    return [JoinLink(item, port, service.chain.chain_id) for item in reachable(named, service.address)]


if __name__ == "__main__":
    sys.exit(main())
