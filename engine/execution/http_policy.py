"""Which hosts and addresses the engine may call over HTTP. Pure: nothing is looked up or connected here.

Names are checked against a list of allowed hosts, addresses against a table of refused networks. The table is our
own: `ipaddress.is_global` takes several ways into a private network for global addresses.
"""

from __future__ import annotations

import ssl
from collections.abc import Iterator
from dataclasses import dataclass, field
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network
from urllib.parse import SplitResult, urlsplit

from engine.core.errors import TerminalError

Address = IPv4Address | IPv6Address
Network = IPv4Network | IPv6Network

MAX_BYTES = 5_000_000
"""Of an answer, after decompression."""
MAX_RATIO = 100
"""How much larger than what came over the wire an answer may be."""
TOTAL_SECONDS = 30.0
MAX_URL = 8_000
SETTING = "GRAFLOW_HTTP_HOSTS"

REFUSED_NETWORKS: tuple[Network, ...] = tuple(map(ip_network, (
    "0.0.0.0/8",  # this network, unspecified
    "10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16",  # private
    "100.64.0.0/10",  # carrier-grade NAT
    "127.0.0.0/8",  # loopback
    "168.63.129.16/32",  # a cloud's own service, at an address that looks public
    "169.254.0.0/16",  # link-local, and the metadata of clouds
    "192.0.0.0/24",  # protocol assignments
    "192.0.2.0/24", "198.51.100.0/24", "203.0.113.0/24",  # documentation
    "192.88.99.0/24",  # 6to4 relays
    "198.18.0.0/15",  # benchmarks
    "224.0.0.0/4",  # multicast
    "240.0.0.0/4",  # reserved, broadcast
    # Only 2000::/3 is global unicast. The rest holds loopback, unspecified, v4-mapped and v4-compatible, NAT64,
    # unique local, link-local, site-local and multicast.
    "::/3", "4000::/2", "8000::/1",
    "2001::/23",  # protocol assignments: Teredo, ORCHID, benchmarks
    "2001:db8::/32", "3fff::/20",  # documentation
    "2002::/16",  # 6to4
)))  # fmt: skip
REFUSED_NAMES = ("localhost", "*.localhost", "*.local", "*.internal", "*.home.arpa")


class HttpRefused(TerminalError):
    """A request that is not made, because of where it would go or what it would carry."""

    code = "http_refused"


@dataclass(frozen=True, slots=True, kw_only=True)
class HttpPolicy:
    """What HTTP steps may reach. The default allows nothing.

    `hosts`: exact names, `*.example.com` for names below it, `*` for any host. `ports`: the allowed ones.
    `allow_private`: networks that may be reached in spite of the table. `own_names`: names of this product's own
    services, refused unless `hosts` has them literally. `tls`: who is trusted; by default whom the system trusts.
    """

    hosts: tuple[str, ...] = ()
    ports: tuple[int, ...] = (80, 443)
    allow_private: tuple[Network, ...] = ()
    own_names: tuple[str, ...] = ()
    tls: ssl.SSLContext | None = field(default=None, repr=False, compare=False)

    @classmethod
    def of(
        cls, hosts: str = "", *, ports: str = "80,443", allow_private: str = "", tls: ssl.SSLContext | None = None
    ) -> HttpPolicy:
        """A policy from texts with commas, as the settings have them. Raises ValueError for what is no network."""
        return cls(
            hosts=tuple(_parts(hosts)), ports=tuple(int(port) for port in _parts(ports)),
            allow_private=tuple(ip_network(text) for text in _parts(allow_private)), tls=tls,
        )  # fmt: skip

    def for_target(self, url: str) -> HttpPolicy:
        """The same, for a target that the operator has configured: its host and port are allowed as they are."""
        parts = _split(url)
        return HttpPolicy(
            hosts=(_ascii(parts.hostname or ""),), ports=(_port(parts),), allow_private=self.allow_private, tls=self.tls
        )

    def check_url(self, url: str) -> Target:
        """Where `url` leads, if it may be called by its name. Raises HttpRefused."""
        parts = _split(url)
        host, port = _ascii(parts.hostname or ""), _port(parts)
        if not self.hosts:
            raise HttpRefused(
                f"HTTP requests are not allowed here: no host is. Set {SETTING} to the hosts that may be called "
                "(in the library: services={'http': HttpPolicy.of(hosts)})."
            )
        literal = host in {_ascii(name) for name in self.hosts if "*" not in name}
        if not literal and not any(_matches(host, pattern) for pattern in self.hosts):
            raise HttpRefused(f"Host {host!r} may not be called; {SETTING} allows: {', '.join(self.hosts)}.")
        if not literal and any(_matches(host, pattern) for pattern in (*REFUSED_NAMES, *self.own_names)):
            raise HttpRefused(f"Host {host!r} is a service of this network; name it in {SETTING} to allow it.")
        if port not in self.ports:
            allowed = ", ".join(map(str, self.ports))
            raise HttpRefused(f"Port {port} may not be called; GRAFLOW_HTTP_PORTS allows: {allowed}.")
        path = parts.path or "/"
        return Target(
            secure=parts.scheme == "https", host=host, port=port, path=f"{path}?{parts.query}" if parts.query else path
        )

    def check_address(self, host: str, address: str) -> Address:
        """The address, if it and every address it stands for may be reached. Raises HttpRefused."""
        found = ip_address(address)
        for meant in (found, *embedded(found)):
            if any(meant in network for network in self.allow_private if network.version == meant.version):
                continue
            if any(meant in network for network in REFUSED_NETWORKS if network.version == meant.version):
                stands = "" if meant == found else f", which stands for {meant}"
                raise HttpRefused(
                    f"Host {host!r} has the address {found}{stands}, which is not public. GRAFLOW_HTTP_ALLOW_PRIVATE "
                    "names networks that may be reached nevertheless."
                )
        return found


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """A checked URL: `path` includes the query."""

    secure: bool
    host: str
    port: int
    path: str

    @property
    def authority(self) -> str:
        """What the Host header says."""
        name = f"[{self.host}]" if ":" in self.host else self.host
        return name if self.port == (443 if self.secure else 80) else f"{name}:{self.port}"


def embedded(address: Address) -> Iterator[IPv4Address]:
    """The IPv4 addresses that an IPv6 address stands for: mapped, compatible, translated, NAT64, 6to4, Teredo."""
    if isinstance(address, IPv4Address):
        return
    value = int(address)
    low = IPv4Address(value & 0xFFFFFFFF)
    if value >> 32 in (0xFFFF, 0xFFFF0000) or (value >> 32 == 0 and value > 1):
        yield low
    if value >> 32 == 0x64FF9B << 64 or value >> 80 == 0x64FF9B0001:
        yield low
    if value >> 112 == 0x2002:
        yield IPv4Address(value >> 80 & 0xFFFFFFFF)
    if value >> 96 == 0x20010000:
        yield IPv4Address(value >> 64 & 0xFFFFFFFF)
        yield IPv4Address(~value & 0xFFFFFFFF)


def _split(url: str) -> SplitResult:
    if not isinstance(url, str) or not url or len(url) > MAX_URL:
        raise HttpRefused(f"The URL must be text of 1 to {MAX_URL} characters.")
    if any(ord(sign) <= 0x20 or ord(sign) == 0x7F for sign in url) or "\\" in url:
        raise HttpRefused(f"The URL {url[:200]!r} holds a space, a control character or a backslash; encode it.")
    try:
        parts = urlsplit(url)
        _ = parts.port
    except ValueError as error:
        raise HttpRefused(f"The URL {url[:200]!r} cannot be read: {error}.") from None
    if parts.scheme not in ("http", "https"):
        raise HttpRefused(f"The URL {url[:200]!r} must begin with https:// or http://.")
    if "@" in parts.netloc:
        raise HttpRefused("The URL holds a user name or password; send an Authorization header instead.")
    if not parts.hostname:
        raise HttpRefused(f"The URL {url[:200]!r} names no host.")
    if not (parts.path + parts.query).isascii():
        raise HttpRefused(f"The URL {url[:200]!r} holds characters that must be percent-encoded.")
    return parts


def _port(parts: SplitResult) -> int:
    return parts.port if parts.port is not None else 443 if parts.scheme == "https" else 80


def _ascii(host: str) -> str:
    """A host as it is looked up: lower case, in ASCII, without the closing dot."""
    try:
        name = host if host.isascii() else host.encode("idna").decode("ascii")
    except UnicodeError:
        raise HttpRefused(f"The host {host!r} is no valid name.") from None
    name = name.lower().strip("[]").rstrip(".")
    if not name or "%" in name:
        raise HttpRefused(f"The host {host!r} is no valid name.")
    return name


def _matches(host: str, pattern: str) -> bool:
    if pattern == "*":
        return True
    if pattern.startswith("*."):
        return host.endswith(f".{_ascii(pattern[2:])}")
    return host == _ascii(pattern)


def _parts(text: str) -> list[str]:
    return [part.strip() for part in text.split(",") if part.strip()]
