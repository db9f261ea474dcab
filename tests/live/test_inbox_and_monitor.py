from __future__ import annotations

import pytest
from asgiref.sync import sync_to_async

from engine.runs import api

from .conftest import decide
from .sockets import as_program

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.asyncio]


async def test_the_count_follows_what_is_decided_and_asked(boss, run):
    socket = await as_program("/ws/inbox/", boss)
    assert await socket.open()
    assert (await socket.frame())["count"] == 1
    item = (await sync_to_async(api.list_feedback)(boss, run=run, state="open")).results[0]
    await sync_to_async(decide)(boss, run, "approve")
    frame = await socket.frame()
    while frame["count"]:
        frame = await socket.frame()
    assert item.id in frame["changed"]
    await socket.leave()


async def test_the_monitor_shows_the_metrics_of_the_api(boss, run):
    socket = await as_program("/ws/monitor/", boss)
    assert await socket.open()
    frame = await socket.frame()
    assert frame.pop("type") == "metrics"
    assert {"tasks_executed", "tasks_failed", "average_execution_time", "uptime"} <= frame.keys()
    await socket.leave()
