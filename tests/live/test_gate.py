"""Who may open a socket, and for how long."""

from __future__ import annotations

import pytest
from asgiref.sync import sync_to_async
from django.contrib.auth.models import Group, User
from django.contrib.sessions.models import Session

from engine.access import tokens
from engine.live import consumers
from engine.live.handshake import is_same_origin
from engine.live.routing import websocket_urlpatterns
from tests.access.people import person

from .sockets import as_browser, as_program

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.asyncio]


def paths(run: str) -> list[str]:
    return [f"/{str(entry.pattern).replace('<slug:run>', run)}" for entry in websocket_urlpatterns]


async def test_every_socket_asks_for_a_login(run):
    for path in paths(run):
        socket = await as_browser(path, None)
        assert not await socket.open() or await socket.close_code() == 4401


async def test_every_socket_opens_for_who_may(boss, run):
    for path in paths(run):
        for socket in (await as_browser(path, boss), await as_program(path, boss)):
            assert await socket.open(), path
            assert (await socket.frame())["type"] in ("events", "inbox", "metrics")
            await socket.leave()


@pytest.mark.parametrize(
    "origin",
    [
        None,
        b"null",
        b"",
        b"http://evil.example",
        b"http://testserver:8000",
        b"http://testserver.evil.example",
        b"ftp://testserver",
        b"http://[",
        b"//testserver",
    ],
)
async def test_a_foreign_page_gets_no_socket(boss, run, origin):
    for path in paths(run):
        assert not await (await as_browser(path, boss, origin)).open()


async def test_a_token_in_the_query_opens_nothing(boss, run):
    token = await sync_to_async(tokens.create)(boss, "test")
    socket = await as_browser(f"/ws/inbox/?token={token}", None)
    assert not await socket.open() or await socket.close_code() == 4401


@pytest.mark.parametrize(
    ("origin", "host", "same"),
    [
        ("http://testserver", "testserver", True),
        ("https://testserver", "testserver", True),
        ("http://testserver:80", "testserver", True),
        ("http://testserver:8123", "testserver:8123", True),
        ("http://TestServer:8123", "testserver:8123", True),
        ("http://testserver:8123", "testserver:8124", False),
        ("http://evil.example", "evil.example", False),
    ],
)
async def test_an_origin_is_compared_to_the_port(origin, host, same):
    assert is_same_origin(origin, host) is same


async def test_a_role_decides_what_opens(run):
    nobody = await sync_to_async(person)("nobody")
    for user, path, code in (
        (nobody, "/ws/monitor/", 4403),
        (nobody, "/ws/inbox/", 4403),
        (nobody, f"/ws/runs/{run}/", 4403),
    ):
        socket = await as_program(path, user)
        assert await socket.open()
        assert await socket.close_code() == code


async def test_an_unknown_run_is_not_found(boss):
    for name in ("nothing", "00000000-0000-4000-8000-000000000000"):
        socket = await as_program(f"/ws/runs/{name}/", boss)
        assert await socket.open()
        assert await socket.close_code() == 4404


async def test_an_unknown_socket_is_refused(boss):
    assert not await (await as_program("/ws/nothing/", boss)).open()


async def test_a_logout_closes_open_sockets(boss, run):
    socket = await as_browser(f"/ws/runs/{run}/", boss)
    assert await socket.open()
    await socket.frame()
    await sync_to_async(_forget_sessions)()
    await sync_to_async(_touch)(boss)
    assert await socket.close_code() == 4401


async def test_a_lost_role_closes_open_sockets(boss, run):
    socket = await as_program(f"/ws/runs/{run}/", boss)
    assert await socket.open()
    await socket.frame()
    await sync_to_async(boss.groups.clear)()
    assert await socket.close_code() == 4403


async def test_rights_are_looked_at_again_without_any_hint(boss, run, monkeypatch):
    monkeypatch.setattr(consumers, "RECHECK_SECONDS", 0.3)
    socket = await as_program("/ws/monitor/", boss)
    assert await socket.open()
    await sync_to_async(boss.api_tokens.all().delete)()
    assert await socket.close_code() == 4401


async def test_a_person_has_so_many_sockets(boss, monkeypatch):
    monkeypatch.setattr(consumers, "MAX_SOCKETS", 2)
    sockets = [await as_program("/ws/inbox/", boss) for _ in range(3)]
    for socket in sockets:
        assert await socket.open()
    assert await sockets[2].close_code() == 4429
    await sockets[0].leave()
    another = await as_program("/ws/inbox/", boss)
    assert await another.open()
    assert (await another.frame())["type"] == "inbox"
    for socket in (sockets[1], another):
        await socket.leave()


def _forget_sessions() -> None:
    Session.objects.all().delete()


def _touch(user: User) -> None:
    user.groups.add(Group.objects.get_or_create(name="anything")[0])
