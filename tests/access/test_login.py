import pytest
from django.contrib.auth.models import User
from django.test import Client

from engine.access import tokens
from engine.access.models import AuditEntry

from .people import PASSWORD, person

pytestmark = pytest.mark.django_db


def sign_in(client: Client, password: str = PASSWORD):
    return client.post("/login/", {"username": "ann", "password": password})


def test_the_right_password_opens_the_door(client):
    person("ann", "viewer")
    assert sign_in(client).status_code == 302
    assert client.get("/profile/").status_code == 200


def test_a_wrong_password_gets_a_clear_answer_and_changes_nothing(client):
    person("ann", "viewer")
    answer = sign_in(client, "wrong")
    assert answer.status_code == 200
    assert "The user name or the password is wrong" in answer.content.decode()
    assert "sessionid" not in str(client.cookies.keys())
    assert client.get("/profile/").status_code == 302
    assert AuditEntry.objects.filter(action="login.failed", obj_id="ann").count() == 1


def test_after_five_wrong_passwords_the_right_one_is_refused_too(client):
    person("ann", "viewer")
    for _ in range(5):
        answer = sign_in(client, "wrong")
    assert answer.status_code == 429
    assert sign_in(client).status_code == 429
    assert "15 minutes" in sign_in(client).content.decode()


def test_a_login_without_the_csrf_token_is_refused():
    person("ann", "viewer")
    assert sign_in(Client(enforce_csrf_checks=True)).status_code == 403


def test_leaving_needs_a_post(client):
    client.force_login(person("ann", "viewer"), backend="django.contrib.auth.backends.ModelBackend")
    assert client.get("/logout/").status_code == 405
    assert client.post("/logout/").status_code == 302
    assert client.get("/profile/").status_code == 302


def test_a_new_token_is_shown_once(client):
    ann = person("ann", "viewer")
    client.force_login(ann, backend="django.contrib.auth.backends.ModelBackend")
    page = client.post("/profile/tokens/", {"label": "laptop"})
    plain = page.context["new_token"]
    assert tokens.authenticate(plain) == ann
    assert plain in page.content.decode()
    assert plain not in client.get("/profile/").content.decode()


def test_a_token_is_revoked_from_the_profile(client):
    ann = person("ann", "viewer")
    plain = tokens.create(ann, "laptop")
    client.force_login(ann, backend="django.contrib.auth.backends.ModelBackend")
    assert client.post(f"/profile/tokens/{ann.api_tokens.get().pk}/revoke/").status_code == 302
    assert tokens.authenticate(plain) is None


def test_a_password_is_changed_by_who_knows_the_old_one(client):
    ann = person("ann", "viewer")
    client.force_login(ann, backend="django.contrib.auth.backends.ModelBackend")
    form = {"old_password": "wrong", "new_password1": "another long one", "new_password2": "another long one"}
    assert client.post("/profile/password/", form).status_code == 422
    assert client.post("/profile/password/", {**form, "old_password": PASSWORD}).status_code == 200
    assert User.objects.get().check_password("another long one")
    assert client.get("/profile/").status_code == 200
