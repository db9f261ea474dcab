"""What every page is sent with, and how long a session lasts."""

from __future__ import annotations

import time

import pytest
from django.conf import settings
from django.contrib.auth.models import User

POLICY = {
    "default-src": "'none'",
    "script-src": "'self'",
    "style-src": "'self' 'unsafe-inline'",
    "img-src": "'self' data:",
    "font-src": "'self'",
    "connect-src": "'self'",
    "frame-ancestors": "'none'",
    "base-uri": "'none'",
    "form-action": "'self'",
    "object-src": "'none'",
    "require-trusted-types-for": "'script'",
}


def policy(response) -> dict[str, str]:
    lines = response["Content-Security-Policy"].split(";")
    return {name: value for name, _, value in (line.strip().partition(" ") for line in lines)}


@pytest.fixture
def person(client, transactional_db) -> User:
    user = User.objects.create_superuser("someone", password="a long enough password")
    client.force_login(user)
    return user


@pytest.mark.django_db
@pytest.mark.parametrize("path", ["/login/", "/nothing-here/", "/healthz", "/api/v1/workflows/"])
def test_every_answer_carries_the_policy(client, path):
    response = client.get(path)
    assert policy(response) == POLICY
    assert response["X-Frame-Options"] == "DENY"
    assert response["X-Content-Type-Options"] == "nosniff"
    assert response["Referrer-Policy"] == "same-origin"
    assert response["Cross-Origin-Opener-Policy"] == "same-origin"


@pytest.mark.parametrize("path", ["/admin/", "/api/v1/docs/"])
def test_pages_with_scripts_of_others_keep_all_of_it_but_trusted_types(client, person, path):
    expected = {name: value for name, value in POLICY.items() if name != "require-trusted-types-for"}
    assert policy(client.get(path)) == expected


@pytest.mark.django_db
@pytest.mark.parametrize("path", ["/login/", "/api/v1/workflows/"])
def test_a_foreign_host_is_refused(client, path):
    assert client.get(path, headers={"host": "evil.example"}).status_code == 400


def test_a_session_nobody_used_for_an_hour_ends(client, person):
    assert client.get("/profile/").status_code == 200
    session = client.session
    session["last_seen"] = int(time.time()) - settings.SESSION_IDLE_SECONDS - 1
    session.save()
    answer = client.get("/profile/")
    assert (answer.status_code, answer["Location"]) == (302, "/login/?next=/profile/")


def test_use_does_not_move_the_end_of_a_session(client, person):
    client.get("/profile/")
    session = client.session
    end = session.get_expiry_date()
    session["last_seen"] -= 120
    session.save()
    assert client.get("/profile/").status_code == 200
    assert client.session["last_seen"] >= int(time.time()) - 5
    assert abs((client.session.get_expiry_date() - end).total_seconds()) < 1


@pytest.mark.django_db
def test_a_page_takes_no_body_above_two_megabytes(client):
    response = client.post("/login/", data={"username": "x" * (2 * 1024 * 1024 + 1)})
    assert response.status_code in (400, 413)
