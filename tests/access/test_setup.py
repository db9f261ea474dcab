import pytest
from django.contrib.auth.models import User
from django.utils import timezone

from engine.access import policy, setup_token
from engine.access.models import SetupToken
from engine.core.errors import Gone

from .people import PASSWORD, person

pytestmark = pytest.mark.django_db

FORM = {"username": "root", "password1": PASSWORD, "password2": PASSWORD}


def test_the_link_makes_one_administrator_with_all_roles_and_signs_in(client):
    link = f"/setup/{setup_token.issue()}/"
    assert client.get(link).status_code == 200
    assert client.post(link, FORM).status_code == 302
    root = User.objects.get()
    assert policy.roles_of(root) == frozenset(policy.ROLES)
    assert root.is_superuser
    assert client.get("/profile/").status_code == 200


def test_looking_at_the_link_changes_nothing(client):
    link = f"/setup/{setup_token.issue()}/"
    for _ in range(3):
        client.get(link)
        client.head(link)
    assert not User.objects.exists()
    assert client.post(link, FORM).status_code == 302


def test_the_link_works_once(client):
    token = setup_token.issue()
    setup_token.redeem(token, "root", PASSWORD)
    User.objects.all().delete()
    assert client.get(f"/setup/{token}/").status_code == 410
    with pytest.raises(Gone):
        setup_token.redeem(token, "again", PASSWORD)


def test_the_link_is_refused_once_an_account_exists(client):
    token = setup_token.issue()
    person("ann")
    assert client.post(f"/setup/{token}/", FORM).status_code == 410
    assert setup_token.issue() is None
    assert User.objects.count() == 1


def test_the_link_expires(client):
    token = setup_token.issue()
    SetupToken.objects.update(expires_at=timezone.now())
    assert client.post(f"/setup/{token}/", FORM).status_code == 410


def test_a_new_link_replaces_the_older_one():
    old, new = setup_token.issue(), setup_token.issue()
    assert not setup_token.is_valid(old)
    assert setup_token.is_valid(new)


def test_a_weak_password_is_refused_with_its_reason(client):
    link = f"/setup/{setup_token.issue()}/"
    answer = client.post(link, {**FORM, "password1": "short", "password2": "short"})
    assert answer.status_code == 422
    assert "12 characters" in answer.content.decode()
    assert not User.objects.exists()
