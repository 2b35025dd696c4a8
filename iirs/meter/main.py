"""``iirs-meter``: the privacy meter on the command line, for a chain file or for settings to be tried."""

from __future__ import annotations

import argparse
import json
import sys
from dataclasses import replace
from pathlib import Path
from typing import NoReturn

from iirs.chain import Chain, parse_chain
from iirs.errors import ConfigError, IirsError
from iirs.geometry import CHAIN_FILE_MAX
from iirs.meter.report import MeterSettings, read_meter
from iirs.noise import Noise
from iirs.standard_streams import program


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        """Say one sentence; the usage is for ``--help``."""
        self.exit(2, f"{self.prog}: {message}\n")


def parse_arguments(arguments: list[str] | None) -> argparse.Namespace:
    """Return the command line's values. Exits with 2 and a sentence if they make no sense."""
    parser = _Parser(
        prog="iirs-meter",
        description="Say what a chain's noise buys against servers that interfere, and for how long.",
    )
    parser.add_argument("chain_file", nargs="?", type=Path, help="measure this chain")
    parser.add_argument("--mu", type=int, help="mean number of singles a hop adds; even")
    parser.add_argument("--b", type=int, help="scale of the singles' noise")
    parser.add_argument("--setups", type=int, help="give epsilon for so many setups only")
    parser.add_argument("--epsilon", type=float, help="budget (default: 0.693, odds x 2)")
    parser.add_argument("--delta", type=float, help="chance that a bound fails (default: 0.0001)")
    parser.add_argument("--round-seconds", type=float, help="seconds a round (default: the chain's, or 2)")
    parser.add_argument("--epoch-rounds", type=int, help="rounds an epoch (default: the chain's, or 10)")
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    return parser.parse_args(arguments)


def settings_of(options: argparse.Namespace) -> MeterSettings:
    """Return what to measure: the chain file's values, but for those given. Raises ``IirsError``."""
    chain = _read(options.chain_file) if options.chain_file else None
    if chain is None and (options.mu is None or options.b is None):
        raise ConfigError("Name a chain file, or give both --mu and --b.")
    settings = MeterSettings(Noise(options.mu, options.b)) if chain is None else MeterSettings.of(chain)
    noise = settings.noise
    given = {
        "noise": Noise(
            noise.mu if options.mu is None else options.mu, noise.b if options.b is None else options.b
        ),
        "round_seconds": options.round_seconds,
        "epoch_rounds": options.epoch_rounds,
        "setups": (options.setups,) if options.setups is not None else None,
        "epsilon": options.epsilon,
        "delta": options.delta,
    }
    return replace(settings, **{name: value for name, value in given.items() if value is not None})


def main(arguments: list[str] | None = None) -> int:
    """Print the report. Returns 0, 2 with a sentence for input that makes no sense, or 130 on Ctrl-C."""
    try:
        return _main(arguments)
    except KeyboardInterrupt:
        return 130


@program("iirs-meter")
def _main(arguments: list[str] | None) -> int:
    return _run(parse_arguments(arguments))


def _run(options: argparse.Namespace) -> int:
    try:
        reading = read_meter(settings_of(options))
    except IirsError as error:
        print(f"iirs-meter: {error}", file=sys.stderr)
        return 2
    print(json.dumps(reading.as_dict(), indent=1) if options.json else "\n".join(reading.lines()))
    return 0


def _read(path: Path) -> Chain:
    try:
        with path.open("rb") as file:
            return parse_chain(file.read(CHAIN_FILE_MAX + 1))
    except OSError as error:
        raise ConfigError(f"The chain file cannot be read: {error.strerror}.") from error


if __name__ == "__main__":
    sys.exit(main())
