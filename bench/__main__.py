"""`python -m bench [name …]` runs the named benchmarks, or those that need no server."""

from __future__ import annotations

import importlib
import sys

DEFAULT = ("engine",)

if __name__ == "__main__":
    for name in sys.argv[1:] or DEFAULT:
        importlib.import_module(f"bench.{name}").main()
