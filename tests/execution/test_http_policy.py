"""Where HTTP steps may go: by name, by port, and by every address a name has."""

from __future__ import annotations

from ipaddress import ip_address

import pytest

from engine.execution.http_policy import MAX_URL, HttpPolicy, HttpRefused, embedded


def _listed(text: str) -> list[str]:
    return text.split()


ANY = HttpPolicy(hosts=("*",))
REFUSED = _listed("""
0.0.0.0 0.255.255.255 10.0.0.1 10.255.255.255 100.64.0.0 100.127.255.255 127.0.0.1 127.255.255.255 168.63.129.16
169.254.169.254 172.16.0.0 172.31.255.255 192.0.0.8 192.0.0.255 192.0.2.1 192.88.99.1 192.168.0.1 192.168.255.255
198.18.0.1 198.19.255.255 198.51.100.1 203.0.113.1 224.0.0.1 239.255.255.255 240.0.0.1 255.255.255.255
:: ::1 ::127.0.0.1 ::8.8.8.8 ::ffff:127.0.0.1 ::ffff:8.8.8.8 ::ffff:0:127.0.0.1
64:ff9b::a9fe:a9fe 64:ff9b::7f00:1 64:ff9b::808:808 64:ff9b:1::1 100::1 fc00::1 fdff::1 fe80::1 fec0::1 ff02::1
2001::1 2001:0:4136:e378:8000:63bf:3fff:fdd2 2001:2::1 2001:10::1 2001:20::1 2001:1ff:ffff::1 2001:db8::1
2002:7f00:1:: 2002:808:808::1 3fff::1 4000::1 5f00::1 1fff::1 fe80::1%eth0
""")
ALLOWED = _listed("""
1.1.1.1 8.8.8.8 9.255.255.255 11.0.0.0 100.63.255.255 100.128.0.0 126.255.255.255 128.0.0.0 168.63.129.15
168.63.129.17 169.253.255.255 169.255.0.0 172.15.255.255 172.32.0.0 192.0.1.0 192.167.255.255 192.169.0.0
198.17.255.255 198.20.0.0 223.255.255.255 2000::1 2001:200::1 2001:4860:4860::8888 2606:4700:4700::1111
2a00:1450::1 3ffe:ffff::1
""")


@pytest.mark.parametrize("address", REFUSED)
def test_an_address_that_is_not_public_is_refused(address: str) -> None:
    with pytest.raises(HttpRefused, match="not public"):
        ANY.check_address("example.com", address)


@pytest.mark.parametrize("address", ALLOWED)
def test_a_public_address_is_allowed(address: str) -> None:
    assert ANY.check_address("example.com", address) == ip_address(address)


@pytest.mark.parametrize(
    ("address", "meant"),
    [
        ("::ffff:10.0.0.1", ["10.0.0.1"]),
        ("::10.0.0.1", ["10.0.0.1"]),
        ("::ffff:0:10.0.0.1", ["10.0.0.1"]),
        ("64:ff9b::a00:1", ["10.0.0.1"]),
        ("64:ff9b:1::a00:1", ["10.0.0.1"]),
        ("2002:a00:1::5", ["10.0.0.1"]),
        ("2001:0:a00:1::f5ff:fffe", ["10.0.0.1", "10.0.0.1"]),
        ("2606:4700::1", []),
        ("10.0.0.1", []),
    ],
)
def test_an_address_is_taken_for_those_it_stands_for(address: str, meant: list[str]) -> None:
    assert [str(found) for found in embedded(ip_address(address))] == meant


def test_an_allowed_network_is_an_exception_for_itself_alone() -> None:
    policy = HttpPolicy.of("*", allow_private="127.0.0.0/8")
    policy.check_address("here", "127.0.0.1")
    for address in ("10.0.0.1", "::1", "::ffff:127.0.0.1", "64:ff9b::7f00:1"):
        with pytest.raises(HttpRefused):
            policy.check_address("here", address)


def test_a_translating_network_can_be_allowed_without_what_lies_behind_it() -> None:
    policy = HttpPolicy.of("*", allow_private="64:ff9b::/96")
    policy.check_address("example.com", "64:ff9b::808:808")
    with pytest.raises(HttpRefused, match=r"stands for 169\.254\.169\.254"):
        policy.check_address("example.com", "64:ff9b::a9fe:a9fe")


def test_without_hosts_everything_is_refused_and_the_setting_is_named() -> None:
    with pytest.raises(HttpRefused, match="GRAFLOW_HTTP_HOSTS"):
        HttpPolicy().check_url("https://example.com/")


@pytest.mark.parametrize(
    ("hosts", "host", "allowed"),
    [
        ("api.example.com", "api.example.com", True),
        ("api.example.com", "API.Example.COM.", True),
        ("api.example.com", "example.com", False),
        ("api.example.com", "xapi.example.com", False),
        ("*.example.com", "api.example.com", True),
        ("*.example.com", "a.b.example.com", True),
        ("*.example.com", "example.com", False),
        ("*.example.com", "badexample.com", False),
        ("*.example.com", "example.com.evil.net", False),
        ("*", "anything.net", True),
        ("*", "localhost", False),
        ("*", "sub.localhost", False),
        ("*", "metadata.google.internal", False),
        ("*.example.com,localhost", "localhost", True),
        ("[2001:db8::1]", "[2001:db8::1]", True),
        ("bücher.example", "xn--bcher-kva.example", True),
        ("xn--bcher-kva.example", "bücher.example", True),
    ],
)
def test_names_are_allowed_by_the_list(hosts: str, host: str, allowed: bool) -> None:
    policy = HttpPolicy.of(hosts)
    if allowed:
        policy.check_url(f"https://{host}/")
    else:
        with pytest.raises(HttpRefused):
            policy.check_url(f"https://{host}/")


def test_own_services_are_refused_unless_named() -> None:
    own = ("db.example.com",)
    with pytest.raises(HttpRefused, match="service of this network"):
        HttpPolicy(hosts=("*.example.com",), own_names=own).check_url("https://db.example.com/")
    HttpPolicy(hosts=("db.example.com",), own_names=own).check_url("https://db.example.com/")


def test_only_listed_ports_are_called() -> None:
    assert [ANY.check_url(url).port for url in ("http://a.net/", "https://a.net/", "https://a.net:80/")] == [
        80,
        443,
        80,
    ]
    with pytest.raises(HttpRefused, match="Port 5432"):
        ANY.check_url("http://a.net:5432/")


@pytest.mark.parametrize(
    "url",
    [
        "", "ftp://a.net/", "file:///etc/passwd", "gopher://a.net/", "//a.net/", "a.net", "https://", "https:///path",
        "https://user@a.net/", "https://user:word@a.net/", "https://a.net@127.0.0.1/", "https://a.net\\@127.0.0.1/",
        "https://a.net/\r\nHost: b", "https://a.net/ x", "https://a.net:99999/", "https://[::1", "https://a.net/ä",
        "https://[fe80::1%25eth0]/", "https://.../", "https://a.net/" + "x" * MAX_URL,
    ],
)  # fmt: skip
def test_a_strange_url_is_refused(url: str) -> None:
    with pytest.raises(HttpRefused):
        ANY.check_url(url)


def test_a_target_of_the_operator_is_allowed_with_its_port_but_not_its_address() -> None:
    policy = HttpPolicy().for_target("https://hooks.example.com:8443/x")
    assert policy.check_url("https://hooks.example.com:8443/x").port == 8443
    with pytest.raises(HttpRefused):
        policy.check_url("https://other.example.com:8443/x")
    with pytest.raises(HttpRefused):
        policy.check_address("hooks.example.com", "10.0.0.1")
