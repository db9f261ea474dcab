"""Settings stop the start with a message rather than let a site be unsafe."""

from __future__ import annotations

import os
import stat
import subprocess
import sys

import pytest
from django.core.exceptions import ImproperlyConfigured

from graflow_site import env
from tests.stack import OWN_SETTINGS, ROOT

GOOD_KEY = "k3yW1thEnough-different_characters.For/a+production=site"
SAFE = {"HOST": "0.0.0.0", "PUBLIC_URL": "https://graflow.example.org", "SECRET_KEY": GOOD_KEY}


def manage(tmp_path, *arguments, **environment):
    base = {name: value for name, value in os.environ.items() if name not in OWN_SETTINGS}
    return subprocess.run(
        [sys.executable, "manage.py", *arguments],
        cwd=ROOT,
        env={**base, "GRAFLOW_DATA_DIR": str(tmp_path), **environment},
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.mark.parametrize(
    ("change", "named"),
    [
        ({"DEBUG": "1"}, "DEBUG"),
        ({"SECRET_KEY": "short"}, "SECRET_KEY"),
        ({"SECRET_KEY": "django-insecure-" + GOOD_KEY}, "SECRET_KEY"),
        ({"ALLOWED_HOSTS": "*"}, "ALLOWED_HOSTS"),
        ({"PUBLIC_URL": "http://graflow.example.org"}, "PUBLIC_URL"),
    ],
)
def test_production_refuses_to_start(tmp_path, change, named):
    done = manage(tmp_path, "check", **{**SAFE, **change})
    assert done.returncode != 0
    assert named in done.stderr


def test_starts_are_never_refused_before_the_disks_warning(tmp_path):
    done = manage(tmp_path, "check", GRAFLOW_DISK_WARN_PERCENT="10", GRAFLOW_DISK_REFUSE_PERCENT="11")
    assert done.returncode != 0
    assert "GRAFLOW_DISK_REFUSE_PERCENT='11': expected a whole number from 0 to 10" in done.stderr
    assert manage(tmp_path, "check", GRAFLOW_DISK_WARN_PERCENT="3").returncode == 0


def test_production_settings_pass_the_deployment_check_without_a_message(tmp_path):
    done = manage(tmp_path, "check", "--deploy", "--fail-level", "WARNING", **SAFE)
    assert done.returncode == 0, done.stderr
    assert "no issues (0 silenced)" in done.stdout + done.stderr


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("PORT", "eighty"),
        ("PORT", "70000"),
        ("DEBUG", "maybe"),
        ("LOG_LEVEL", "loud"),
        ("DATABASE_URL", "mysql://x/y"),
        ("DATABASE_URL", "postgres://user:pass@host"),
        ("REDIS_URL", "http://127.0.0.1"),
        ("EMAIL_URL", "mail@example.org"),
        ("GRAFLOW_TASK_MODULES", "no.such.module"),
        ("GRAFLOW_DISK_FOLDERS", "/no/such/folder"),
        ("TIME_ZONE", "Mars/Phobos"),
    ],
)
def test_a_wrong_value_stops_the_start_and_is_named(tmp_path, name, value):
    done = manage(tmp_path, "check", **{name: value})
    assert done.returncode != 0
    assert name in done.stderr.splitlines()[-1]
    assert "Traceback" not in done.stderr


def test_a_password_is_not_repeated_in_a_refusal():
    with pytest.raises(ImproperlyConfigured) as refused:
        env.database("mysql://user:hunter2@host/name", ROOT)
    assert "hunter2" not in str(refused.value)


def test_the_secret_key_is_made_once_and_for_its_owner_alone(tmp_path, monkeypatch):
    monkeypatch.delenv("SECRET_KEY", raising=False)
    first = env.secret_key(tmp_path)
    assert len(first) >= 50
    assert env.secret_key(tmp_path) == first
    assert stat.S_IMODE((tmp_path / "secret_key").stat().st_mode) == 0o600


def test_a_secret_key_that_others_can_read_is_refused(tmp_path, monkeypatch):
    monkeypatch.delenv("SECRET_KEY", raising=False)
    env.secret_key(tmp_path)
    (tmp_path / "secret_key").chmod(0o644)
    with pytest.raises(ImproperlyConfigured, match="chmod 600"):
        env.secret_key(tmp_path)


@pytest.mark.parametrize(
    ("given", "ours", "celery"),
    [
        ("redis://:p@host:6379/3", "redis://:p@host:6379?db=3", "redis://:p@host:6379/3"),
        ("unix:///run/r.sock", "unix:///run/r.sock?db=0", "redis+socket:///run/r.sock?virtual_host=0"),
        ("redis+socket:///r.sock?virtual_host=2", "unix:///r.sock?db=2", "redis+socket:///r.sock?virtual_host=2"),
    ],
)
def test_one_redis_address_serves_all_its_clients(given, ours, celery):
    assert env.redis(given) == ours
    assert env.celery_broker(given) == celery
    assert env.redis(given, step=1) != ours


def test_a_socket_path_that_is_too_long_is_refused_with_its_limit():
    with pytest.raises(ImproperlyConfigured, match="longer than"):
        env.redis(f"unix:///{'x' * 120}")


@pytest.mark.parametrize(
    ("reader", "text", "found"),
    [
        (lambda: env.hosts("X"), "a.net, *.b.net,*,[2001:db8::1]", ["a.net", "*.b.net", "*", "[2001:db8::1]"]),
        (lambda: env.hosts("X"), "", []),
        (lambda: env.ports("X", "80,443"), "8080", [8080]),
        (lambda: env.ports("X", "80,443"), None, [80, 443]),
        (lambda: [str(n) for n in env.networks("X")], "10.1.0.0/16,::1", ["10.1.0.0/16", "::1/128"]),
        (lambda: env.targets("X", secret="s" * 16), "a=https://h/x?y=z,b=http://i", {"a": "https://h/x?y=z", "b": "http://i"}),
        (lambda: env.targets("X", secret=""), "", {}),
    ],
)  # fmt: skip
def test_what_workflows_may_call_is_read(monkeypatch, reader, text, found):
    monkeypatch.delenv("X", raising=False)
    if text is not None:
        monkeypatch.setenv("X", text)
    assert reader() == found


@pytest.mark.parametrize(
    ("reader", "text"),
    [
        (lambda: env.hosts("X"), "https://a.net"),
        (lambda: env.hosts("X"), "a.net:80"),
        (lambda: env.hosts("X"), "::1"),
        (lambda: env.hosts("X"), "[a.net]"),
        (lambda: env.hosts("X"), "*."),
        (lambda: env.hosts("X"), "a*.net"),
        (lambda: env.ports("X", ""), "0"),
        (lambda: env.ports("X", ""), "65536"),
        (lambda: env.ports("X", ""), "http"),
        (lambda: env.networks("X"), "10.1.0.1/16"),
        (lambda: env.networks("X"), "here"),
        (lambda: env.targets("X", secret="s" * 16), "https://a.net"),
        (lambda: env.targets("X", secret="s" * 16), "a=ftp://a.net"),
        (lambda: env.targets("X", secret="s" * 16), "a=https://user:word@a.net"),
        (lambda: env.targets("X", secret="s" * 15), "a=https://a.net"),
    ],
)
def test_what_workflows_may_call_is_refused_when_it_is_wrong(monkeypatch, reader, text):
    monkeypatch.setenv("X", text)
    with pytest.raises(ImproperlyConfigured, match="X"):
        reader()
