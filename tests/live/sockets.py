"""What socket tests share: opening a socket as a program or as a browser, and reading its frames."""

from __future__ import annotations

import json
from typing import Any

from asgiref.sync import sync_to_async
from channels.testing import WebsocketCommunicator
from django.contrib.auth.models import User
from django.test import Client

from engine.access import tokens
from engine.live.routing import application

SECONDS = 10.0  # the machine may be busy; a frame that comes is read at once


class Socket:
    def __init__(self, path: str, headers: list[tuple[bytes, bytes]]) -> None:
        self._wire = WebsocketCommunicator(application, path, headers=[(b"host", b"testserver"), *headers])

    async def open(self) -> bool:
        """True when the handshake was accepted."""
        accepted, _ = await self._wire.connect(timeout=SECONDS)
        return bool(accepted)

    async def frame(self) -> dict[str, Any]:
        found: dict[str, Any] = json.loads(await self._wire.receive_from(timeout=SECONDS))
        return found

    async def frames_of(self, kind: str) -> dict[str, Any]:
        """The next frame of this type."""
        while True:
            found = await self.frame()
            if found["type"] == kind:
                return found

    async def silent(self, seconds: float = 0.4) -> bool:
        return bool(await self._wire.receive_nothing(timeout=seconds, interval=0.05))

    async def say(self, frame: Any) -> None:
        await self._wire.send_to(text_data=frame if isinstance(frame, str) else json.dumps(frame))

    async def close_code(self) -> int:
        """The code the server closes with; frames before it are passed over."""
        while True:
            message = await self._wire.receive_output(timeout=SECONDS)
            if message["type"] == "websocket.close":
                return int(message.get("code") or 1000)

    async def leave(self) -> None:
        await self._wire.disconnect()


@sync_to_async
def token_header(user: User) -> list[tuple[bytes, bytes]]:
    return [(b"authorization", f"Token {tokens.create(user, 'test')}".encode())]


@sync_to_async
def session_cookie(user: User) -> bytes:
    browser = Client()
    browser.force_login(user, backend="django.contrib.auth.backends.ModelBackend")
    return "; ".join(f"{name}={morsel.value}" for name, morsel in browser.cookies.items()).encode()


async def as_program(path: str, user: User) -> Socket:
    return Socket(path, await token_header(user))


async def as_browser(path: str, user: User | None, origin: bytes | None = b"http://testserver") -> Socket:
    headers = [] if origin is None else [(b"origin", origin)]
    if user is not None:
        headers.append((b"cookie", await session_cookie(user)))
    return Socket(path, headers)
