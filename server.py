#!/usr/bin/env python3
"""Run the iirs server from a checkout, without installing."""

import sys

from iirs.server.main import main

if __name__ == "__main__":
    sys.exit(main())
