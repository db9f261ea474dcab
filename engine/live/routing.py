"""The sockets' addresses, and the whole socket application behind the gate."""

from __future__ import annotations

from typing import Any

from channels.routing import URLRouter
from django.urls import path

from engine.live.consumers import InboxSocket, MonitorSocket, RunSocket
from engine.live.handshake import Gate

websocket_urlpatterns: list[Any] = [
    path("ws/runs/<slug:run>/", RunSocket.as_asgi()),
    path("ws/inbox/", InboxSocket.as_asgi()),
    path("ws/monitor/", MonitorSocket.as_asgi()),
]


class NoSuchSocket:
    """Refuses addresses that no pattern knows; without it they would end in a logged error."""

    def __init__(self, router: Any) -> None:
        self._router = router

    async def __call__(self, scope: dict[str, Any], receive: Any, send: Any) -> Any:
        try:
            return await self._router(scope, receive, send)
        except ValueError as missing:
            if "No route found" not in str(missing):
                raise
            await send({"type": "websocket.close", "code": 4404})
            return None


application = Gate(NoSuchSocket(URLRouter(websocket_urlpatterns)))
