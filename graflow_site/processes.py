"""Child processes that never outlive their parent. Standard library only.

Linux tells a child about its parent's death when it asks for that; elsewhere an orderly stop has to do.
"""

from __future__ import annotations

import ctypes
import os
import signal
import sys
from collections.abc import Callable

_PR_SET_PDEATHSIG = 1
# Loaded here and not in the child: after a change of user the child may be unable to read the library.
_libc = ctypes.CDLL(None) if sys.platform == "linux" else None


def end_with_parent(how: signal.Signals = signal.SIGKILL, parent: int | None = None) -> None:
    """From now on the system sends `how` to this process when its parent dies."""
    if _libc is None:
        return
    _libc.prctl(_PR_SET_PDEATHSIG, how, 0, 0, 0)
    if parent is not None and os.getppid() != parent:  # it died before we asked
        os.kill(os.getpid(), how)


def follower(how: signal.Signals = signal.SIGKILL) -> Callable[[], None]:
    """A `preexec_fn`: the child ends with this process. Start it from the main thread, whose end counts as ours."""
    parent = os.getpid()

    def follow() -> None:
        end_with_parent(how, parent)

    return follow
