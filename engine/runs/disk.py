"""How full the disk is: health turns red before there is no room, and no run begins that might not be able to end.

Looks at the file systems of this machine only. A database on another host is watched by that host's monitoring.
"""

from __future__ import annotations

import logging
import shutil
from pathlib import Path

from django.conf import settings

from engine.core.errors import OutOfSpace

log = logging.getLogger(__name__)

WARN_PERCENT, REFUSE_PERCENT = 10, 5
RETRY_AFTER_SECONDS = 30


def free_share(folder: Path) -> float:
    """The free part of the file system a folder is on, from 0 to 1."""
    usage = shutil.disk_usage(folder)
    return usage.free / usage.total


def free_percent() -> float | None:
    """Of the fullest of the watched file systems; None where none can be looked at."""
    found = [
        share for folder in getattr(settings, "GRAFLOW_DISK_FOLDERS", ()) if (share := _looked(folder)) is not None
    ]
    return min(found) * 100 if found else None


def health() -> tuple[bool, str]:
    """Is there room enough, and in words how much."""
    free = free_percent()
    if free is None:
        return True, "unknown"
    warn, refuse = _limits()
    words = f"{free:.1f} % free"
    if free < refuse:
        return False, f"{words}; no run starts below {refuse} %, those that have started go on"
    if free < warn:
        return False, f"{words}; below {refuse} % no further run starts"
    return True, words


def require_room() -> None:
    """Raises OutOfSpace where a further run might fill the disk. What has started may use the rest of it to end."""
    free, refuse = free_percent(), _limits()[1]
    if free is not None and free < refuse:
        raise OutOfSpace(
            f"The disk has {free:.1f} % free, and below {refuse} % no run is started (GRAFLOW_DISK_REFUSE_PERCENT). "
            "Starts are taken again as soon as there is room.",
            retry_after=RETRY_AFTER_SECONDS,
        )


def _limits() -> tuple[int, int]:
    return (
        int(getattr(settings, "GRAFLOW_DISK_WARN_PERCENT", WARN_PERCENT)),
        int(getattr(settings, "GRAFLOW_DISK_REFUSE_PERCENT", REFUSE_PERCENT)),
    )


def _looked(folder: Path) -> float | None:
    try:
        return free_share(folder)
    except OSError as refused:  # a folder that is gone tells nothing about room, and whoever needs it will say so
        log.warning("disk: %s cannot be looked at: %s", folder, refused)
        return None
