"""A real HTTP server on this machine, and a policy that allows to call it."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from engine.execution.http_policy import HttpPolicy


@dataclass
class Seen:
    method: str
    path: str
    headers: dict[str, str]
    body: bytes


Answers = Callable[[Seen], tuple[int, dict[str, str], bytes]]


@dataclass
class Web:
    """`answer` decides; `seen` are the requests in order."""

    port: int = 0
    seen: list[Seen] = field(default_factory=list)
    answer: Answers = lambda seen: (200, {"Content-Type": "application/json"}, b'{"ok": true}')
    raw: Callable[[Any], None] | None = None  # writes the whole answer itself

    def url(self, path: str = "/", host: str = "127.0.0.1", scheme: str = "http") -> str:
        return f"{scheme}://{host}:{self.port}{path}"

    def policy(self, hosts: str = "127.0.0.1,localhost", **more: Any) -> HttpPolicy:
        return HttpPolicy.of(hosts, **{"ports": str(self.port), "allow_private": "127.0.0.0/8", **more})

    def says(self, status: int, body: Any = None, **headers: str) -> None:
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        content = body if isinstance(body, bytes) else json.dumps(body).encode()
        self.answer = lambda seen: (status, {"Content-Type": "application/json", **named}, content)


@contextmanager
def web_server(tls: Any = None) -> Iterator[Web]:
    web = Web()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def log_message(self, *_: Any) -> None:
            pass

        def carry_out(self) -> None:
            length = int(self.headers.get("Content-Length", 0))
            headers = {name.lower(): value for name, value in self.headers.items()}
            seen = Seen(self.command, self.path, headers, self.rfile.read(length))
            web.seen.append(seen)
            if web.raw is not None:
                self.close_connection = True
                web.raw(self.wfile)
                return
            status, more, body = web.answer(seen)
            self.send_response(status)
            for name, value in more.items():
                self.send_header(name, value)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            if self.command != "HEAD":
                self.wfile.write(body)

        do_GET = do_POST = do_PUT = do_PATCH = do_DELETE = do_HEAD = carry_out

    class Server(ThreadingHTTPServer):
        def handle_error(self, *_: Any) -> None:
            """A client that breaks off is what some tests are about."""

    server = Server(("127.0.0.1", 0), Handler)
    if tls is not None:
        server.socket = tls.wrap_socket(server.socket, server_side=True)
    web.port = server.server_address[1]
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    try:
        yield web
    finally:
        server.shutdown()
        server.server_close()
