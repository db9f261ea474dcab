"""No fork while another thread is in the middle of something.

The pool forks whenever a child is missing. A thread that is inside SQLite or holds a lock at that moment leaves
the lock held in the child, where nobody will ever release it. Such threads work inside `undisturbed`.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager

_gate = threading.Lock()


@contextmanager
def undisturbed() -> Iterator[None]:
    """Forks of this process wait until the block has ended; keep it short."""
    with _gate:
        yield


os.register_at_fork(before=_gate.acquire, after_in_parent=_gate.release, after_in_child=_gate.release)
