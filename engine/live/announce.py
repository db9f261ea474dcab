"""From the engine's news to hints on the channel layer."""

from __future__ import annotations

import time
from functools import partial
from typing import Any

from django.db import transaction

from engine.live.announcer import announcer
from engine.live.hub import INBOX_TOPIC, run_topic, user_topic
from engine.runs.hooks import Hint


def hint(news: Hint) -> None:
    """Registered as `engine.runs.hooks.announce`; called after a commit, returns at once."""
    announcer.announce(run_topic(str(news.run)), seq=news.seq)
    if news.feedback:
        announcer.announce(INBOX_TOPIC, changed=[str(feedback) for feedback in news.feedback])


def rights(sender: Any, user_id: int, **_: Any) -> None:
    """Open sockets of this person check again what they may see, once the change is committed."""
    topic = user_topic(user_id)
    transaction.on_commit(partial(announcer.announce, topic, at=time.time_ns()))
