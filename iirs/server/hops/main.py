"""``iirs-mix``: runs one later hop of a chain."""

from __future__ import annotations

import argparse
import logging
import os
import sys
import threading
from contextlib import ExitStack
from pathlib import Path

from iirs.errors import ConfigError, StoreError
from iirs.paths import data_directory
from iirs.server.glass_box import GlassBox
from iirs.server.hops.hop_state import HopState
from iirs.server.hops.later_hop import HopEnvironment, LaterHop
from iirs.server.hops.link_server import LinkServer
from iirs.server.hops.next_hop import NextHopLink
from iirs.server.keystore import CLOCK_FILE, HopKeys, hold_folder, load_hop_keys
from iirs.server.net.descriptors import raise_limit
from iirs.server.stop_signal import StopSignal
from iirs.standard_streams import program


def parse_arguments(arguments: list[str] | None) -> argparse.Namespace:
    """Return the command line's values. Exits with 2 and a sentence if they make no sense."""
    parser = argparse.ArgumentParser(
        prog="iirs-mix",
        description="Run a later hop of a chain of servers. Its data directory is made with iirs-chain.",
    )
    parser.add_argument("--data-dir", type=Path, help="where chain file, identity and state are kept")
    parser.add_argument("--host", help="address to listen on (default: all; --port too)")
    parser.add_argument("--port", type=int, help="port to listen on (default: the chain file's)")
    parser.add_argument("--glass-box", type=Path, help="write what this hop sees to a file, openly marked")
    parser.add_argument(
        "--log-level",
        choices=["debug", "info", "warning"],
        default="warning",
        help="how much to say (default: warning)",
    )
    return parser.parse_args(arguments)


def main(arguments: list[str] | None = None) -> int:
    """Run a hop until Ctrl-C or SIGTERM. Returns 0, 1 if it had to give up, or 2 if it could not start."""
    stop = StopSignal()  # first: a signal that comes while all is set up ends the hop as any other does
    serve = program("iirs-mix", goes_on=True)(lambda given: _serve(parse_arguments(given), stop))
    return serve(arguments)


def _serve(options: argparse.Namespace, stop: StopSignal) -> int:
    logging.basicConfig(level=options.log_level.upper(), format="%(asctime)s %(name)s %(message)s")
    try:
        folder = options.data_dir or data_directory("iirs-mix")
        with ExitStack() as stack:
            stack.enter_context(hold_folder(folder))
            keys = load_hop_keys(folder)
            raise_limit()  # for the links, however many strangers come
            return _run(options, folder, keys, stack, stop)
    except (ConfigError, StoreError) as error:
        print(f"iirs-mix: {error}", file=sys.stderr)
        return 2
    except OSError as error:  # no folder, thread or descriptor to be had
        print(f"iirs-mix: {error.strerror or error}", file=sys.stderr)
        return 2


def build(keys: HopKeys, state: HopState, environment: HopEnvironment) -> LinkServer:
    """Return a hop ready to listen, linked to the one behind it."""
    chain, hop = keys.chain, keys.hop
    is_last = hop == len(chain.hops) - 1
    successor = None if is_last else NextHopLink(chain, hop, keys.identity)
    later_hop = LaterHop(chain, hop, keys.identity, state, environment, successor)
    return LinkServer(chain, hop, keys.identity, later_hop)


def load_state(folder: Path, keys: HopKeys) -> HopState:
    """Return what the hop remembers: not its rounds, if its owner says that they were of a wrong clock.

    Raises ``ConfigError`` or ``StoreError``.
    """
    state = HopState(folder, keys.chain.chain_id)
    if (folder / CLOCK_FILE).exists():
        state.forget_rounds()
        (folder / CLOCK_FILE).unlink()
    return state


def _run(options: argparse.Namespace, folder: Path, keys: HopKeys, stack: ExitStack, stop: StopSignal) -> int:
    environment = HopEnvironment(os.urandom)
    if options.glass_box is not None:
        box = stack.enter_context(GlassBox(options.glass_box, keys.hop))
        environment = HopEnvironment(os.urandom, observe=box.stage, observe_drops=box.drops)
        print(f"iirs-mix: {box.warning}", file=sys.stderr)
    server = build(keys, load_state(folder, keys), environment)
    host, port = _address(options, keys)
    server.listen(host, port)
    serving = threading.Thread(target=server.serve, name="iirs-serve", daemon=True)
    serving.start()
    hops = len(keys.chain.hops)
    print(f"iirs-mix ready: hop {keys.hop} of {hops}, chain {keys.chain.fingerprint}", flush=True)
    gave_up = False
    while not gave_up and not stop.wait(1.0):  # a bounded wait, so that signals arrive on every platform
        server.tidy()
        gave_up = not serving.is_alive()
    server.stop()
    serving.join(2.0)
    if gave_up:  # an error nobody has thought of; better gone, and started anew, than alive and deaf
        print("iirs-mix: this hop gave up because of the error above: start it again.", file=sys.stderr)
    return 1 if gave_up else 0


def _address(options: argparse.Namespace, keys: HopKeys) -> tuple[str, int]:
    host, port = keys.chain.hops[keys.hop].host_and_port
    everywhere = "::" if ":" in host else "0.0.0.0"  # noqa: S104  # only the hop before passes the handshake
    return options.host or everywhere, port if options.port is None else options.port


if __name__ == "__main__":
    sys.exit(main())
