import io

import pytest
from django.contrib.auth.models import User
from django.core.management import CommandError, call_command

from engine.access import policy, tokens

from .people import PASSWORD, person

pytestmark = pytest.mark.django_db


def run(*words: str) -> str:
    out = io.StringIO()
    call_command(*words, stdout=out)
    return out.getvalue()


def test_an_account_gets_the_roles_asked_for(monkeypatch):
    monkeypatch.setattr("sys.stdin", io.StringIO(PASSWORD + "\n"))
    run("create_account", "ann", "--roles", "designer,operator", "--password-stdin")
    ann = User.objects.get()
    assert policy.roles_of(ann) == {"designer", "operator"}
    assert ann.check_password(PASSWORD)
    assert not ann.is_superuser


def test_the_admin_role_opens_the_admin_site(monkeypatch):
    monkeypatch.setattr("sys.stdin", io.StringIO(""))
    assert "Password, shown this once" in run("create_account", "root", "--roles", "admin")
    assert User.objects.get().is_superuser


@pytest.mark.parametrize("words", [("ann", "--roles", "chef"), ("a b", "--roles", "viewer"), ("bob",)])
def test_a_wrong_name_or_role_creates_nothing(monkeypatch, words):
    person("bob")
    monkeypatch.setattr("sys.stdin", io.StringIO(""))
    with pytest.raises(CommandError):
        run("create_account", *words)
    assert User.objects.count() == 1


def test_a_weak_password_creates_nothing(monkeypatch):
    monkeypatch.setattr("sys.stdin", io.StringIO("short\n"))
    with pytest.raises(CommandError, match="12 characters"):
        run("create_account", "ann", "--password-stdin")
    assert not User.objects.exists()


def test_a_token_is_printed_alone_on_its_line():
    ann = person("ann")
    assert tokens.authenticate(run("create_token", "ann").strip()) == ann


def test_a_token_for_nobody_is_an_error():
    with pytest.raises(CommandError, match="create_account ann"):
        run("create_token", "ann")


def test_the_audit_log_is_verified_from_the_console():
    person("ann")
    assert "all in place" in run("verify_audit")
