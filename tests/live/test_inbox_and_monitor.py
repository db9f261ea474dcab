from __future__ import annotations

import pytest
from asgiref.sync import sync_to_async
from django.contrib.auth.models import Group, User

from engine.runs import api
from engine.runs.models import WorkflowDefinition
from tests.access.people import person
from tests.rest.calls import ASK

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


@sync_to_async
def asked_in(boss: User, name: str, group: str = "") -> str:
    """The id of a request in a workflow of its own, which may be open to one group only."""
    workflow = api.create_workflow(boss, name=name, document={**ASK, "name": name})
    api.publish(boss, workflow.id)
    run = api.start_run(boss, workflow=workflow.id)
    found = api.list_feedback(boss, run=run.id).results[0].id
    if group:
        WorkflowDefinition.objects.get(slug=workflow.slug).allowed_groups.add(Group.objects.get(name=group))
    return found


async def test_an_inbox_hears_nothing_of_requests_that_are_closed_to_it(boss):
    inner = await sync_to_async(person)("inner", "reviewer", groups=("secret",))
    outer = await sync_to_async(person)("outer", "reviewer")
    hidden, shown = await asked_in(boss, "Closed", "secret"), await asked_in(boss, "Open")
    near, far = await as_program("/ws/inbox/", inner), await as_program("/ws/inbox/", outer)
    assert await near.open() and await far.open()
    assert ((await near.frame())["count"], (await far.frame())["count"]) == (2, 1)
    await sync_to_async(api.answer_feedback)(inner, hidden, decision="approve")
    frame = await near.frame()
    while hidden not in frame["changed"]:
        frame = await near.frame()
    await sync_to_async(api.answer_feedback)(outer, shown, decision="approve")
    heard = []
    while not heard or heard[-1]["count"]:
        heard.append(await far.frame())
    # The hint of the closed one was there before; what the other socket made of it came first.
    assert {feedback for frame in heard for feedback in frame["changed"]} <= {shown}
    await near.leave()
    await far.leave()


async def test_the_monitor_shows_the_metrics_of_the_api(boss, run):
    socket = await as_program("/ws/monitor/", boss)
    assert await socket.open()
    frame = await socket.frame()
    assert frame.pop("type") == "metrics"
    assert {"tasks_executed", "tasks_failed", "average_execution_time", "uptime"} <= frame.keys()
    await socket.leave()
