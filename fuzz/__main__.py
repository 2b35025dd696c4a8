"""``python -m fuzz TARGET [CORPUS...] [-libfuzzer_option=...]``: needs the extra ``fuzz``."""

from __future__ import annotations

import importlib
import sys

import atheris

LENGTHS = {
    "decoders": ("-max_len=8192",),
    "peer": ("-max_len=200", "-len_control=0"),
    "links": ("-max_len=250", "-len_control=0"),
}
"""The targets, and how long an input may be, in bytes; with 0 from the start."""
_LIMITS = ("-timeout=60", "-rss_limit_mb=2048", "-print_final_stats=1")
"""Seconds and memory that one input may take, unless the command line says otherwise."""


def main() -> None:
    """Fuzz one target until libFuzzer is told to stop, or finds something."""
    if len(sys.argv) < 2 or sys.argv[1] not in LENGTHS:
        raise SystemExit(f"usage: python -m fuzz {{{','.join(LENGTHS)}}} [CORPUS...] [-option=value...]")
    target = sys.argv.pop(1)
    with atheris.instrument_imports(include=["iirs"]):
        check = importlib.import_module(f"fuzz.{target}").check
    again = f"{sys.executable} -m fuzz {target}"  # so libFuzzer starts itself, to merge and to minimize
    atheris.Setup([again, *_LIMITS, *LENGTHS[target], *sys.argv[1:]], check)
    atheris.Fuzz()


if __name__ == "__main__":
    main()
