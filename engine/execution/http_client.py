"""One guarded HTTP request: to a checked address, within a time and a size, following nothing.

The host is looked up once, every address it has is checked, and the connection goes to a checked one while TLS asks
for the host's own certificate. Redirects are answers like any other; proxies of the environment are not used.
"""

from __future__ import annotations

import http.client
import io
import re
import socket
import ssl
import threading
import time
import zlib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from engine.core.errors import EngineError, TerminalError
from engine.execution.http_policy import MAX_BYTES, MAX_RATIO, TOTAL_SECONDS, HttpPolicy, HttpRefused, Target

CHUNK = 64 * 1024
MAX_HEADERS = 100
_NAME = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
_OWN_HEADERS = frozenset({
    "host", "content-length", "transfer-encoding", "connection", "keep-alive", "upgrade", "te", "trailer", "expect",
    "accept-encoding", "proxy-connection", "proxy-authorization",
})  # fmt: skip

Resolve = Callable[[str, int], list[str]]
"""(host, port) -> its addresses as texts."""


class NetworkError(EngineError):
    """The other side could not be reached, or broke off. Worth another try."""

    code = "network_error"


class AnswerTooLarge(TerminalError):
    """The answer is larger than is read."""

    code = "answer_too_large"


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What came back. Header names are in lower case; `body` is decompressed."""

    status: int
    headers: dict[str, str]
    body: bytes


def addresses_of(host: str, port: int) -> list[str]:
    """What the system's resolver gives."""
    found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return list(dict.fromkeys(str(entry[4][0]) for entry in found))


def send(
    policy: HttpPolicy, method: str, url: str, *, headers: Mapping[str, str] | None = None, body: bytes | None = None,
    seconds: float = TOTAL_SECONDS, resolve: Resolve = addresses_of,
) -> Answer:  # fmt: skip
    """Make one request. Raises HttpRefused, NetworkError or AnswerTooLarge."""
    target = policy.check_url(url)
    sent = _checked_headers(headers or {})
    deadline = _Deadline(seconds)
    try:
        found = _resolved(resolve, target, deadline)
        checked = [str(policy.check_address(target.host, address)) for address in found]
        with _connected(policy, target, checked, deadline) as line:
            return _exchange(line, target, method, sent, body, deadline)
    except (OSError, http.client.HTTPException, zlib.error) as error:
        if deadline.is_over():
            raise NetworkError(f"{target.authority}: no whole answer within {seconds:g} s.") from error
        raise NetworkError(f"{target.authority}: {type(error).__name__}: {error}") from error


class _Deadline:
    def __init__(self, seconds: float) -> None:
        self._until = time.monotonic() + seconds

    def left(self) -> float:
        """Seconds left. Raises TimeoutError when there are none."""
        left = self._until - time.monotonic()
        if left <= 0:
            raise TimeoutError("the time is up")
        return left

    def is_over(self) -> bool:
        return time.monotonic() >= self._until


def _resolved(resolve: Resolve, target: Target, deadline: _Deadline) -> list[str]:
    """The addresses of the host, asked for once. The resolver cannot be interrupted, so it has its own thread."""
    found: list[list[str]] = []
    failed: list[Exception] = []

    def ask() -> None:
        try:
            found.append(resolve(target.host, target.port))
        except Exception as error:  # raised again below, in the thread that waits
            failed.append(error)

    thread = threading.Thread(target=ask, daemon=True, name="graflow-resolve")
    thread.start()
    thread.join(deadline.left())
    if failed:
        if isinstance(failed[0], UnicodeError):
            raise HttpRefused(f"The host {target.host!r} is no valid name.")
        raise NetworkError(f"{target.host}: the name cannot be resolved: {failed[0]}") from failed[0]
    if not found or not found[0]:
        raise NetworkError(f"{target.host}: the name has no address.")
    return found[0]


class _Line:
    """A connected socket as http.client wants it, with every wait bounded by one deadline."""

    def __init__(self, sock: socket.socket, deadline: _Deadline) -> None:
        self._sock, self._deadline = sock, deadline

    def sendall(self, data: Any) -> None:
        self._sock.settimeout(self._deadline.left())
        self._sock.sendall(data)

    def makefile(self, mode: str, *_: Any, **__: Any) -> io.BufferedReader:
        return io.BufferedReader(_Received(self))

    def receive_into(self, buffer: Any) -> int:
        self._sock.settimeout(self._deadline.left())
        return self._sock.recv_into(buffer)

    def close(self) -> None:
        """http.client lets go of the line before the answer has been read; `__exit__` closes it."""

    def __enter__(self) -> _Line:
        return self

    def __exit__(self, *_: object) -> None:
        self._sock.close()


class _Received(io.RawIOBase):
    def __init__(self, line: _Line) -> None:
        self._line = line

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        return self._line.receive_into(buffer)


def _connected(policy: HttpPolicy, target: Target, addresses: list[str], deadline: _Deadline) -> _Line:
    """A line to the first address that answers."""
    context = (policy.tls or ssl.create_default_context()) if target.secure else None
    failed: OSError | None = None
    for address in addresses:
        try:
            sock = socket.create_connection((address, target.port), timeout=deadline.left())
        except OSError as error:
            failed = error
            continue
        try:
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            if context is not None:
                sock.settimeout(deadline.left())
                sock = context.wrap_socket(sock, server_hostname=target.host)
        except BaseException:
            sock.close()
            raise
        return _Line(sock, deadline)
    raise failed or OSError("no address")


def _exchange(
    line: _Line, target: Target, method: str, headers: dict[str, str], body: bytes | None, deadline: _Deadline
) -> Answer:
    connection = http.client.HTTPConnection(target.host, target.port)
    connection.sock = line
    connection.putrequest(method, target.path, skip_host=True, skip_accept_encoding=True)
    connection.putheader("Host", target.authority)
    connection.putheader("Accept-Encoding", "gzip")
    connection.putheader("Connection", "close")
    for name, value in headers.items():
        connection.putheader(name, value)
    if body is not None or method in ("POST", "PUT", "PATCH"):
        connection.putheader("Content-Length", str(len(body or b"")))
    connection.endheaders(body)
    response = connection.getresponse()
    given: dict[str, str] = {}
    for name, value in response.getheaders():
        key = name.lower()
        given[key] = f"{given[key]}, {value}" if key in given else value
    coding = given.get("content-encoding", "").strip().lower()
    return Answer(status=response.status, headers=given, body=_read(response, coding, deadline))


def _read(response: http.client.HTTPResponse, coding: str, deadline: _Deadline) -> bytes:
    """The whole body, decompressed, within the limits of size and ratio."""
    if coding not in ("", "identity", "gzip", "x-gzip", "deflate"):
        raise TerminalError(f"The answer is compressed by {coding[:40]!r}, which was not asked for.")
    unpack = _Unpacking() if coding not in ("", "identity") else None
    told = response.length
    if told is not None and told > MAX_BYTES:
        raise AnswerTooLarge(f"The answer has {told} bytes; at most {MAX_BYTES} are read.")
    packed = 0
    kept = bytearray()
    while chunk := response.read1(CHUNK):
        packed += len(chunk)
        if packed > MAX_BYTES:
            raise AnswerTooLarge(f"The answer has more than {MAX_BYTES} bytes.")
        for part in [chunk] if unpack is None else unpack.parts(chunk):
            deadline.left()
            kept += part
            if unpack is not None:
                _check_unpacked(len(kept), packed)
    if unpack is not None and packed and not unpack.is_whole:
        raise zlib.error("the compressed answer breaks off")
    if told:  # http.client takes a connection that closes too early for the end of the answer
        left = response.length
        if left:
            raise http.client.IncompleteRead(b"", left)
    return bytes(kept)


class _Unpacking:
    """gzip or zlib data, unpacked in parts of at most CHUNK bytes; several gzip members count as one."""

    def __init__(self) -> None:
        self._member = zlib.decompressobj(wbits=47)

    @property
    def is_whole(self) -> bool:
        return self._member.eof

    def parts(self, data: bytes) -> Iterator[bytes]:
        while True:
            if self._member.eof:
                if not data:
                    return
                self._member = zlib.decompressobj(wbits=47)
            part = self._member.decompress(data, CHUNK)
            yield part
            data = self._member.unused_data if self._member.eof else self._member.unconsumed_tail
            if not data and len(part) < CHUNK:  # a full part may have left something inside
                return


def _check_unpacked(size: int, packed: int) -> None:
    if size > MAX_BYTES:
        raise AnswerTooLarge(f"The answer has more than {MAX_BYTES} bytes when unpacked.")
    if size > packed * MAX_RATIO:
        raise AnswerTooLarge(f"The answer grows to more than {MAX_RATIO} times its size when unpacked.")


def _checked_headers(headers: Mapping[str, str]) -> dict[str, str]:
    if len(headers) > MAX_HEADERS:
        raise HttpRefused(f"{len(headers)} headers; at most {MAX_HEADERS} are sent.")
    for name, value in headers.items():
        if not _NAME.fullmatch(name):
            raise HttpRefused(f"{name[:80]!r} is no name of a header.")
        if name.lower() in _OWN_HEADERS:
            raise HttpRefused(f"The header {name!r} is set by the engine.")
        if not value.isascii() or any((ord(sign) < 0x20 and sign != "\t") or ord(sign) == 0x7F for sign in value):
            raise HttpRefused(f"The value of the header {name!r} holds characters that headers cannot have.")
    return dict(headers)
