"""`python -m bench [name [options]]` runs the named benchmark, or the one that needs no server."""

from __future__ import annotations

import importlib
import sys

DEFAULT = "engine"

if __name__ == "__main__":
    name, *options = sys.argv[1:] or [DEFAULT]
    importlib.import_module(f"bench.{name}").main(options)
