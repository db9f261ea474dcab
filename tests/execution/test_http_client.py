"""One request against a real server: what is sent, what is refused, and how large and slow an answer may be."""

from __future__ import annotations

import gzip
import socket
import ssl
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from engine.core.errors import TerminalError
from engine.execution.http_client import CHUNK, AnswerTooLarge, NetworkError, send
from engine.execution.http_policy import MAX_BYTES, MAX_RATIO, HttpPolicy, HttpRefused

from .web import Web, web_server


def test_a_request_arrives_as_it_was_made(web: Web) -> None:
    answer = send(web.policy(), "POST", web.url("/a?b=c"), headers={"X-Mine": "1"}, body=b"hello")
    seen = web.seen[0]
    assert (seen.method, seen.path, seen.body) == ("POST", "/a?b=c", b"hello")
    assert (seen.headers["x-mine"], seen.headers["host"]) == ("1", f"127.0.0.1:{web.port}")
    assert (answer.status, answer.headers["content-type"], answer.body) == (200, "application/json", b'{"ok": true}')


def test_a_redirect_is_an_answer_and_not_followed(web: Web) -> None:
    web.says(302, Location=web.url("/elsewhere"))
    answer = send(web.policy(), "GET", web.url("/"))
    assert (answer.status, answer.headers["location"], len(web.seen)) == (302, web.url("/elsewhere"), 1)


def test_proxies_of_the_environment_are_not_used(web: Web, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("http_proxy", "HTTP_PROXY", "https_proxy", "all_proxy"):
        monkeypatch.setenv(name, "http://127.0.0.1:1/")
    assert send(web.policy(), "GET", web.url("/")).status == 200


@pytest.mark.parametrize("name", ["2130706433", "0x7f.1", "0177.0.0.1", "127.1", "①②⑦.⓪.⓪.①", "127.0.0.1.", "[::1]"])
def test_every_writing_of_this_machines_address_is_refused(web: Web, name: str) -> None:
    with pytest.raises((HttpRefused, NetworkError)):
        send(HttpPolicy.of("*", ports=str(web.port)), "GET", web.url("/", name))
    assert web.seen == []


def test_one_bad_address_among_many_refuses_the_host(web: Web) -> None:
    with pytest.raises(HttpRefused, match=r"10\.0\.0\.7"):
        send(web.policy("*"), "GET", web.url("/", "two.example"), resolve=lambda *_: ["127.0.0.1", "10.0.0.7"])
    assert web.seen == []


def test_a_name_is_looked_up_once_and_the_checked_address_is_called(web: Web) -> None:
    """DNS rebinding: the second answer would lead into the private network."""
    answers = iter([["127.0.0.1"], ["10.0.0.7"]])
    assert send(web.policy("*"), "GET", web.url("/", "rebind.example"), resolve=lambda *_: next(answers)).status == 200
    with pytest.raises(HttpRefused):
        send(web.policy("*"), "GET", web.url("/", "rebind.example"), resolve=lambda *_: next(answers))
    assert len(web.seen) == 1


def test_the_next_address_is_tried_where_one_does_not_answer(web: Web) -> None:
    found = ["127.0.0.9", "127.0.0.1"]
    assert send(web.policy("*"), "GET", web.url("/", "two.example"), resolve=lambda *_: found).status == 200


@pytest.mark.parametrize(
    "headers",
    [
        {"Host": "other"}, {"content-length": "0"}, {"Transfer-Encoding": "chunked"}, {"X": "a\r\nY: b"}, {"X\r\n": "a"},
        {"": "a"}, {"X": "ä"}, {"X": "\x00"}, {"Connection": "upgrade"}, {f"X-{n}": "" for n in range(101)},
    ],
)  # fmt: skip
def test_headers_that_change_the_request_are_refused(web: Web, headers: dict[str, str]) -> None:
    with pytest.raises(HttpRefused):
        send(web.policy(), "GET", web.url("/"), headers=headers)
    assert web.seen == []


# -- size, ratio, time ------------------------------------------------------------------------------------------


def unpacked(web: Web, content: bytes) -> bytes:
    web.says(200, gzip.compress(content), Content_Encoding="gzip")
    return send(web.policy(), "GET", web.url("/")).body


def test_an_answer_may_be_as_large_as_the_limit(web: Web) -> None:
    web.says(200, b"x" * MAX_BYTES)
    assert len(send(web.policy(), "GET", web.url("/")).body) == MAX_BYTES


def test_an_answer_may_not_be_larger(web: Web) -> None:
    web.says(200, b"x" * (MAX_BYTES + 1))
    with pytest.raises(AnswerTooLarge):
        send(web.policy(), "GET", web.url("/"))


def test_an_answer_without_a_length_may_not_be_larger(web: Web) -> None:
    web.raw = lambda out: out.write(b"HTTP/1.1 200 OK\r\n\r\n" + b"x" * (MAX_BYTES + 1))
    with pytest.raises(AnswerTooLarge):
        send(web.policy(), "GET", web.url("/"))


def mixed(size: int) -> bytes:
    """Bytes that gzip makes about 30 times smaller."""
    line = b"".join(n.to_bytes(4, "big") * 40 for n in range(size // 160 + 1))
    return line[:size]


def test_the_limit_counts_after_unpacking(web: Web) -> None:
    assert unpacked(web, mixed(MAX_BYTES)) == mixed(MAX_BYTES)
    with pytest.raises(AnswerTooLarge, match="unpacked"):
        unpacked(web, mixed(MAX_BYTES + 1))


@pytest.mark.parametrize("size", [0, 1, CHUNK - 1, CHUNK, CHUNK + 1, 4 * CHUNK])
def test_nothing_is_lost_where_a_part_is_full(web: Web, size: int) -> None:
    assert unpacked(web, mixed(size)) == mixed(size)


def test_several_members_are_one_answer(web: Web) -> None:
    web.says(200, gzip.compress(b"one, ") + gzip.compress(b"two"), Content_Encoding="gzip")
    assert send(web.policy(), "GET", web.url("/")).body == b"one, two"


def test_an_answer_that_grows_too_much_is_refused(web: Web) -> None:
    packed = len(gzip.compress(b"0" * 20_000))
    assert packed * MAX_RATIO < 20_000
    with pytest.raises(AnswerTooLarge, match="times its size"):
        unpacked(web, b"0" * 20_000)
    fits = 20_000
    while fits > len(gzip.compress(b"0" * fits)) * MAX_RATIO:
        fits -= 1
    assert len(unpacked(web, b"0" * fits)) == fits
    with pytest.raises(AnswerTooLarge, match="times its size"):
        unpacked(web, b"0" * (fits + 1))


def test_a_compression_nobody_asked_for_is_refused(web: Web) -> None:
    web.says(200, b"...", Content_Encoding="gzip, gzip")
    with pytest.raises(TerminalError, match="compressed"):
        send(web.policy(), "GET", web.url("/"))


@pytest.mark.parametrize(
    "answer",
    [
        b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nabc",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nabc",
        b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\n\r\n" + gzip.compress(b"hello, hello")[:-9],
        b"no HTTP at all\r\n\r\n",
        b"",
    ],
    ids=["too short", "half a chunk", "half compressed", "no http", "nothing"],  # compressed bytes tell the time
)
def test_an_answer_that_breaks_off_is_a_network_error(web: Web, answer: bytes) -> None:
    web.raw = lambda out: out.write(answer)
    with pytest.raises(NetworkError):
        send(web.policy(), "GET", web.url("/"))


def drip(*parts: bytes) -> Any:
    def write(out: Any) -> None:
        try:
            for part in parts:
                out.write(part)
                out.flush()
            until = time.monotonic() + 30
            while time.monotonic() < until:
                out.write(b"x")
                out.flush()
                time.sleep(0.02)  # the server is slow; that is what is tried
        except OSError:
            pass

    return write


@pytest.mark.parametrize(
    "parts", [(b"HTTP/1.1 200 OK\r\n\r\n",), (b"HTTP/1.1 200 OK\r\nX: ",), ()], ids=["body", "header", "status"]
)
def test_a_slow_answer_ends_with_the_time(web: Web, parts: tuple[bytes, ...]) -> None:
    web.raw = drip(*parts)
    began = time.monotonic()
    with pytest.raises(NetworkError, match="within"):
        send(web.policy(), "GET", web.url("/"), seconds=0.4)
    assert time.monotonic() - began < 3


def test_a_silent_server_and_a_silent_resolver_end_with_the_time() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        policy = HttpPolicy.of("127.0.0.1,slow.example", ports=str(port), allow_private="127.0.0.0/8")
        with pytest.raises(NetworkError, match="within"):
            send(policy, "GET", f"http://127.0.0.1:{port}/", seconds=0.3)
        with pytest.raises(NetworkError, match="no address"):
            send(policy, "GET", f"http://slow.example:{port}/", seconds=0.3, resolve=lambda *_: time.sleep(2) or [])


def test_a_closed_port_is_a_network_error() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
    policy = HttpPolicy.of("127.0.0.1", ports=str(port), allow_private="127.0.0.0/8")
    with pytest.raises(NetworkError, match="refused"):
        send(policy, "GET", f"http://127.0.0.1:{port}/")


# -- TLS --------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A key and a certificate for secure.example, in one file."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "secure.example")])
    now = datetime.now(UTC)
    made = (
        x509.CertificateBuilder().subject_name(name).issuer_name(name).public_key(key.public_key())
        .serial_number(x509.random_serial_number()).not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName("secure.example")]), critical=False)
        .sign(key, hashes.SHA256())
    )  # fmt: skip
    path = tmp_path_factory.mktemp("tls") / "server.pem"
    private = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    path.write_bytes(private + made.public_bytes(serialization.Encoding.PEM))
    return path


@pytest.fixture
def secure(certificate: Path) -> Iterator[Web]:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)
    with web_server(context) as web:
        yield web


def test_tls_asks_for_the_name_at_the_checked_address(secure: Web, certificate: Path) -> None:
    policy = secure.policy("*", tls=ssl.create_default_context(cafile=str(certificate)))
    here = {"resolve": lambda *_: ["127.0.0.1"]}
    assert send(policy, "GET", secure.url("/", "secure.example", "https"), **here).status == 200
    assert secure.seen[0].headers["host"] == f"secure.example:{secure.port}"
    with pytest.raises(NetworkError, match="mismatch"):
        send(policy, "GET", secure.url("/", "other.example", "https"), **here)


def test_a_certificate_nobody_vouches_for_is_refused(secure: Web) -> None:
    with pytest.raises(NetworkError, match="CERTIFICATE_VERIFY_FAILED"):
        send(secure.policy("*"), "GET", secure.url("/", "secure.example", "https"), resolve=lambda *_: ["127.0.0.1"])
