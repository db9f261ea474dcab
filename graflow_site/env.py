"""Reads the environment: small readers that name the variable, its value and a way out when they refuse.

Only the standard library and Django's exception, so that the launcher can read the same values before Django loads.
"""

from __future__ import annotations

import json
import os
import secrets
from collections.abc import Mapping
from ipaddress import IPv4Network, IPv6Network, ip_address, ip_network
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, unquote, urlencode, urlsplit, urlunsplit
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from django.core.exceptions import ImproperlyConfigured

SECRET_BYTES = 48
MAX_SOCKET_PATH = 100  # bytes; the system's limit is 108 with the closing zero
MIN_SECRET = 16  # characters
RUNNING_FILE = "running.json"
LOOPBACK_HOSTS = ("127.0.0.1", "localhost", "::1")
REDIS_DATABASES = 16  # what a Redis server has unless it is told otherwise

_YES, _NO = ("1", "true", "yes", "on"), ("0", "false", "no", "off")


def text(name: str, default: str) -> str:
    """The variable, or `default` when it is unset or empty."""
    return os.environ.get(name, "").strip() or default


def switch(name: str, default: bool) -> bool:
    raw = text(name, "1" if default else "0").lower()
    if raw not in _YES + _NO:
        raise ImproperlyConfigured(f"{name}={raw!r}: expected on or off, for example {name}=1")
    return raw in _YES


def number(name: str, default: int, *, least: int, most: int) -> int:
    raw = text(name, str(default))
    if not (raw.isascii() and raw.isdigit() and least <= int(raw) <= most):
        raise ImproperlyConfigured(f"{name}={raw!r}: expected a whole number from {least} to {most}")
    return int(raw)


def zone(name: str, default: str) -> str:
    """A time zone by its name."""
    raw = text(name, default)
    try:
        ZoneInfo(raw)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        raise ImproperlyConfigured(
            f"{name}={raw!r}: expected a time zone's name, for example {name}=Europe/Berlin"
        ) from None
    return raw


def names(name: str, default: str) -> list[str]:
    """A comma-separated list without its empty places."""
    return [part.strip() for part in os.environ.get(name, default).split(",") if part.strip()]


def ports(name: str, default: str) -> list[int]:
    """A comma-separated list of port numbers."""
    found = names(name, default)
    wrong = [part for part in found if not (part.isascii() and part.isdigit() and 1 <= int(part) <= 65535)]
    if wrong:
        raise ImproperlyConfigured(f"{name}: {wrong[0]!r} is no port, expected numbers as in {name}=80,443")
    return [int(part) for part in found]


def networks(name: str) -> list[IPv4Network | IPv6Network]:
    """A comma-separated list of networks."""
    found = []
    for part in names(name, ""):
        try:
            found.append(ip_network(part))
        except ValueError as wrong:
            raise ImproperlyConfigured(f"{name}: {wrong}, expected networks as in {name}=10.1.0.0/16") from None
    return found


def hosts(name: str) -> list[str]:
    """A comma-separated list of host names, `*.name` or `*`."""
    found = names(name, "")
    wrong = [part for part in found if not _is_host(part)]
    if wrong:
        raise ImproperlyConfigured(
            f"{name}: {wrong[0]!r} is no host, expected names as in {name}=api.example.com,*.example.org"
        )
    return found


def _is_host(text: str) -> bool:
    if text.startswith("["):
        try:
            return ip_address(text.strip("[]")).version == 6
        except ValueError:
            return False
    name = text.removeprefix("*.")
    return text == "*" or (bool(name) and not set(name) & set("/:*@? "))


def targets(name: str, *, secret: str) -> dict[str, str]:
    """A comma-separated list of `name=url` pairs, which need a `secret` to be signed with."""
    found: dict[str, str] = {}
    for part in names(name, ""):
        target, _, url = (piece.strip() for piece in part.partition("="))
        parts = urlsplit(url)
        if not target or parts.scheme not in ("http", "https") or not parts.hostname or "@" in parts.netloc:
            raise ImproperlyConfigured(f"{name}: {target!r} has no address, expected {name}=chat=https://host/path")
        found[target] = url
    if found and len(secret) < MIN_SECRET:
        raise ImproperlyConfigured(
            f"GRAFLOW_WEBHOOK_SECRET: {name} needs one of at least {MIN_SECRET} characters, to sign what is sent"
        )
    return found


def choice(name: str, default: str, allowed: tuple[str, ...]) -> str:
    raw = text(name, default)
    if raw.upper() not in allowed:
        raise ImproperlyConfigured(f"{name}={raw!r}: expected one of {', '.join(allowed)}")
    return raw.upper()


def folder(name: str, default: Path) -> Path:
    """An existing, private folder; made when it is missing."""
    path = Path(text(name, str(default))).expanduser().resolve()
    try:
        path.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as refused:
        raise ImproperlyConfigured(f"{name}={str(path)!r}: the folder cannot be made ({refused.strerror})") from None
    if not os.access(path, os.W_OK | os.X_OK):
        raise ImproperlyConfigured(f"{name}={str(path)!r}: this user may not write there")
    return path


def existing(name: str, default: list[Path]) -> list[Path]:
    """A comma-separated list of folders, which must be there."""
    found = [Path(part) for part in names(name, "")]
    missing = [path for path in found if not path.is_dir()]
    if missing:
        raise ImproperlyConfigured(f"{name}={str(missing[0])!r}: there is no such folder")
    return found or default


def secret_key(data_dir: Path) -> str:
    """SECRET_KEY, or the random key in the data folder that the first start writes for itself alone."""
    given = os.environ.get("SECRET_KEY", "")
    if given:
        return given
    path = data_dir / "secret_key"
    try:
        handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except FileExistsError:
        return _written_key(path)
    with os.fdopen(handle, "w") as file:
        key = secrets.token_urlsafe(SECRET_BYTES)
        file.write(key)
    return key


def _written_key(path: Path) -> str:
    if path.stat().st_mode & 0o077:
        raise ImproperlyConfigured(f"{path} can be read by other users. Make it private: chmod 600 {path}")
    key = path.read_text().strip()
    if not key:
        raise ImproperlyConfigured(f"{path} is empty. Remove it; the next start writes a new key")
    return key


def running(data_dir: Path) -> Mapping[str, Any]:
    """What `manage.py up` started for this data folder: REDIS_URL, DATABASE_URL, process ids by name."""
    try:
        found: dict[str, Any] = json.loads((data_dir / RUNNING_FILE).read_text())
        os.kill(int(found["pid"]), 0)  # the file outlives a launcher that was killed
    except PermissionError:  # alive, and somebody else's
        return found
    except (OSError, ValueError, KeyError):
        return {}
    return found


def database(url: str, data_dir: Path) -> dict[str, Any]:
    """Django's DATABASES entry of an address: `sqlite:///path` or `postgres://user:password@host:port/name`."""
    parts = urlsplit(url)
    if parts.scheme == "sqlite":
        path = unquote(parts.path.removeprefix("/")) if parts.path else ""
        if not path:
            raise ImproperlyConfigured(f"DATABASE_URL={url!r}: the file is missing, as in sqlite:///graflow.sqlite3")
        return {"ENGINE": "django.db.backends.sqlite3", "NAME": str(data_dir / path)}
    if parts.scheme not in ("postgres", "postgresql"):
        raise ImproperlyConfigured(f"DATABASE_URL={hidden(url)!r}: expected postgres://... or sqlite:///...")
    query = dict(parse_qsl(parts.query))
    name = unquote(parts.path.lstrip("/"))
    if not name:
        raise ImproperlyConfigured(f"DATABASE_URL={hidden(url)!r}: the database's name is missing")
    return {
        "ENGINE": "django.db.backends.postgresql",
        "NAME": name,
        "USER": unquote(parts.username or ""),
        "PASSWORD": unquote(parts.password or ""),
        "HOST": query.pop("host", "") or unquote(parts.hostname or ""),
        "PORT": str(parts.port or query.pop("port", "")),
        "OPTIONS": query,
    }


def redis(url: str, *, step: int = 0) -> str:
    """The address as redis-py reads it, `step` databases further on: `redis://`, `rediss://` or `unix://`."""
    parts = urlsplit(url)
    scheme = {"redis+socket": "unix"}.get(parts.scheme, parts.scheme)
    query = dict(parse_qsl(parts.query))
    if scheme not in ("redis", "rediss", "unix"):
        raise ImproperlyConfigured(f"REDIS_URL={hidden(url)!r}: expected redis://, rediss:// or unix:///path")
    raw = query.pop("virtual_host", "") or query.pop("db", "") or (parts.path.strip("/") if scheme != "unix" else "")
    if raw and not raw.isdigit():
        raise ImproperlyConfigured(f"REDIS_URL={hidden(url)!r}: {raw!r} is no database number")
    if scheme == "unix" and len(parts.path.encode()) > MAX_SOCKET_PATH:
        raise ImproperlyConfigured(f"REDIS_URL: the socket's path is longer than {MAX_SOCKET_PATH} bytes: {parts.path}")
    query["db"] = str((int(raw or 0) + step) % REDIS_DATABASES)
    path = parts.path if scheme == "unix" else ""
    # Not urlunsplit: it writes unix:/path, which redis-py refuses.
    return f"{scheme}://{parts.netloc}{path}?{urlencode(query)}"


def celery_broker(url: str) -> str:
    """The same address as Celery's transport wants it."""
    parts = urlsplit(redis(url))
    query = dict(parse_qsl(parts.query))
    number = query.pop("db")
    if parts.scheme == "unix":
        more = f"&{urlencode(query)}" if query else ""
        return f"redis+socket://{parts.netloc}{parts.path}?virtual_host={number}{more}"
    return urlunsplit((parts.scheme, parts.netloc, f"/{number}", urlencode(query), ""))


def email(url: str, data_dir: Path) -> dict[str, Any]:
    """Django's EMAIL_* settings of `smtp://user:password@host:port?tls=1`; without an address mails become files."""
    if not url:
        return {
            "EMAIL_BACKEND": "django.core.mail.backends.filebased.EmailBackend",
            "EMAIL_FILE_PATH": str(data_dir / "mails"),
        }
    parts = urlsplit(url)
    if parts.scheme not in ("smtp", "smtps") or not parts.hostname:
        raise ImproperlyConfigured(f"EMAIL_URL={hidden(url)!r}: expected smtp://user:password@host:port or smtps://")
    query = dict(parse_qsl(parts.query))
    return {
        "EMAIL_BACKEND": "django.core.mail.backends.smtp.EmailBackend",
        "EMAIL_HOST": parts.hostname,
        "EMAIL_PORT": parts.port or (465 if parts.scheme == "smtps" else 587),
        "EMAIL_HOST_USER": unquote(parts.username or ""),
        "EMAIL_HOST_PASSWORD": unquote(parts.password or ""),
        "EMAIL_USE_SSL": parts.scheme == "smtps",
        "EMAIL_USE_TLS": parts.scheme == "smtp" and query.get("tls", "1").lower() in _YES,
        "EMAIL_TIMEOUT": 10,
        "DEFAULT_FROM_EMAIL": query.get("from", f"graflow@{parts.hostname}"),
    }


def hidden(url: str) -> str:
    """The address without its password, for messages."""
    parts = urlsplit(url)
    if not parts.password:
        return url
    return url.replace(f":{parts.password}@", ":...@")


def refuse_unsafe(*, host: str, debug: bool, key: str, hosts: list[str], public_url: str) -> None:
    """Raise when the site could be reached by others and is not fit for them.

    Bound to this machine alone it may run without TLS; DEBUG is for nobody else's eyes.
    """
    public = urlsplit(public_url)
    offered = host not in LOOPBACK_HOSTS or public.scheme == "https"
    wrong = []
    if "*" in hosts:
        wrong.append("ALLOWED_HOSTS=* accepts every name: list the names under which the site is reached")
    if len(key) < 40 or len(set(key)) < 8 or key.startswith("django-insecure"):
        wrong.append(
            "SECRET_KEY is too weak: leave it out (a random one is kept in the data folder) or use 50 random characters"
        )
    if offered and debug:
        wrong.append("DEBUG=1 shows code and settings to every visitor: leave it out")
    if offered and public.scheme != "https":
        wrong.append(
            f"HOST={host} offers the site to the network: set PUBLIC_URL=https://... to the address that brings TLS"
        )
    if wrong:
        raise ImproperlyConfigured("Unsafe settings. " + ". ".join(wrong) + ".")
