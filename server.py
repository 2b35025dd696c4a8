#!/usr/bin/env python3
"""Run the iirs server from a checkout, without installing."""

import sys

try:
    from iirs.server.main import main
except ModuleNotFoundError as error:
    if error.name is None or error.name.startswith("iirs"):
        raise
    print(f"iirs-server: {error.name} is not installed: run `pip install .` here first", file=sys.stderr)
    sys.exit(2)

if __name__ == "__main__":
    sys.exit(main())
