#!/usr/bin/env python3
"""Run the iirs client from a checkout, without installing."""

import sys


def run() -> int:
    """Run the program; return 2 with a sentence if something it needs is not installed."""
    try:
        from iirs.client.main import main  # noqa: PLC0415  # what it imports may not be there

        return main()
    except ModuleNotFoundError as error:
        if error.name is None or error.name.startswith("iirs"):
            raise
        print(f"iirs-client: {error.name} is not installed: run `pip install .` here first", file=sys.stderr)
        return 2


if __name__ == "__main__":
    sys.exit(run())
