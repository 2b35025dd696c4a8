#!/usr/bin/env python3
"""Run the iirs client from a checkout, without installing."""

import sys

from iirs.client.main import main

if __name__ == "__main__":
    sys.exit(main())
