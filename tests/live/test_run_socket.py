from __future__ import annotations

import asyncio

import pytest
from asgiref.sync import sync_to_async

from engine.live import consumers, hub
from engine.live.announcer import announcer
from engine.runs import api, retention
from engine.runs.models import Run

from .conftest import decide
from .sockets import Socket, as_program

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.asyncio]


async def events_until(socket: Socket, seq: int, after: int = 0) -> list[dict]:
    """Events up to `seq`, checked frame by frame for gaps and repetitions, and acknowledged."""
    seen: list[dict] = []
    last = after
    while last < seq:
        frame = await socket.frames_of("events")
        assert frame["from"] == last + 1
        assert [event["seq"] for event in frame["events"]] == list(range(frame["from"], frame["to"] + 1))
        seen += frame["events"]
        last = frame["to"]
        await socket.say({"ack": last})
    return seen


@sync_to_async
def newest(boss, run) -> int:
    return int(api.run_status(boss, run).seq)


async def test_what_happened_before_comes_first_and_then_what_happens(boss, run):
    socket = await as_program(f"/ws/runs/{run}/?after=0", boss)
    assert await socket.open()
    seen = await events_until(socket, await newest(boss, run))
    for _ in range(3):
        await sync_to_async(decide)(boss, run, "reject")
        seen += await events_until(socket, await newest(boss, run), after=seen[-1]["seq"])
    page = await sync_to_async(api.events_after)(boss, run, 0, 1_000)
    assert seen == [event.as_dict() for event in page.results]
    await socket.leave()


async def test_a_client_comes_back_with_its_last_seq(boss, run):
    last = await newest(boss, run)
    socket = await as_program(f"/ws/runs/{run}/?after={last - 2}", boss)
    assert await socket.open()
    assert [event["seq"] for event in await events_until(socket, last, after=last - 2)] == [last - 1, last]
    await socket.leave()


async def test_news_arrive_when_every_hint_is_lost(boss, run, monkeypatch):
    monkeypatch.setattr(announcer, "announce", lambda *_, **__: None)
    monkeypatch.setattr("engine.live.tail.PROBE_SECONDS", 0.3)
    last = await newest(boss, run)
    socket = await as_program(f"/ws/runs/{run}/?after={last}", boss)
    assert await socket.open()
    await sync_to_async(decide)(boss, run, "reject")
    assert await events_until(socket, await newest(boss, run), after=last)
    await socket.leave()


async def test_without_an_acknowledgement_the_server_stops_and_goes_on_with_one(boss, run, monkeypatch):
    monkeypatch.setattr(consumers, "WINDOW_EVENTS", 3)
    last = await newest(boss, run)
    assert last > 3
    socket = await as_program(f"/ws/runs/{run}/?after=0", boss)
    assert await socket.open()
    assert (await socket.frames_of("events"))["to"] == 3
    assert await socket.silent()
    await socket.say({"ack": 3})
    await events_until(socket, last, after=3)
    await socket.leave()


async def test_a_client_that_never_acknowledges_is_let_go(boss, run, monkeypatch):
    monkeypatch.setattr(consumers, "WINDOW_EVENTS", 3)
    monkeypatch.setattr(consumers, "ACK_SECONDS", 0.3)
    monkeypatch.setattr(hub, "PROBE_SECONDS", 0.2)
    socket = await as_program(f"/ws/runs/{run}/?after=0", boss)
    assert await socket.open()
    assert await socket.close_code() == 4408


async def test_who_is_too_far_behind_is_told_to_reload(boss, run, monkeypatch):
    monkeypatch.setattr(consumers, "MAX_BEHIND", 3)
    last = await newest(boss, run)
    socket = await as_program(f"/ws/runs/{run}/?after=0", boss)
    assert await socket.open()
    assert (await socket.frame())["type"] == "reload"
    monkeypatch.undo()
    await sync_to_async(decide)(boss, run, "approve")
    await events_until(socket, await newest(boss, run), after=last)
    await socket.leave()


async def test_a_client_ahead_of_the_run_is_told_to_reload(boss, run):
    socket = await as_program(f"/ws/runs/{run}/?after=100000", boss)
    assert await socket.open()
    assert (await socket.frame())["type"] == "reload"
    await socket.leave()


async def test_a_client_may_ask_again_from_any_place(boss, run):
    last = await newest(boss, run)
    socket = await as_program(f"/ws/runs/{run}/?after={last}", boss)
    assert await socket.open()
    await socket.say({"after": 1})
    await events_until(socket, last, after=1)
    await socket.leave()


async def test_many_sockets_share_one_reader_and_all_get_everything(boss, run):
    sockets = [await as_program(f"/ws/runs/{run}/?after=0", boss) for _ in range(10)]
    for socket in sockets:
        assert await socket.open()
    await sync_to_async(decide)(boss, run, "reject")
    last = await newest(boss, run)
    streams = await asyncio.gather(*(events_until(socket, last) for socket in sockets))
    assert all(stream == streams[0] for stream in streams)
    for socket in sockets:
        await socket.leave()
    assert hub.run_topic(run) not in hub.hub().shared


@pytest.mark.parametrize(
    "noise", ["x", "[]", "{}", "null", '{"ack": "1"}', '{"ack": -1}', '{"after": true}', "[" * 9_000]
)
async def test_frames_without_a_meaning_are_ignored(boss, run, noise):
    last = await newest(boss, run)
    socket = await as_program(f"/ws/runs/{run}/?after=0", boss)
    assert await socket.open()
    await socket.say(noise)
    await events_until(socket, last)
    await socket.leave()


async def test_a_large_frame_closes_the_socket(boss, run):
    socket = await as_program(f"/ws/runs/{run}/", boss)
    assert await socket.open()
    await socket.say("x" * (consumers.MAX_FRAME_BYTES + 1))
    assert await socket.close_code() == 1009


async def test_a_talkative_client_is_let_go(boss, run):
    socket = await as_program(f"/ws/runs/{run}/", boss)
    assert await socket.open()
    for _ in range(consumers.MAX_FRAMES_PER_SECOND + 1):
        await socket.say({"ack": 0})
    assert await socket.close_code() == 4429


async def test_who_asks_for_archived_events_is_told_to_reload(boss, run, settings, tmp_path):
    settings.GRAFLOW_ARCHIVE_DIR = tmp_path

    def archived() -> None:
        api.stop_run(boss, run)
        assert retention.trim(Run.objects.get(public_id=run).pk)

    await sync_to_async(archived)()
    socket = await as_program(f"/ws/runs/{run}/?after=0", boss)
    assert await socket.open()
    assert (await socket.frame())["type"] == "reload"
    await socket.leave()
