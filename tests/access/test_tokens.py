import pytest

from engine.access import tokens
from engine.access.models import ApiToken

from .people import person

pytestmark = pytest.mark.django_db


def test_a_token_opens_the_account_it_was_made_for():
    ann = person("ann", "viewer")
    assert tokens.authenticate(tokens.create(ann, "laptop")) == ann


def test_a_token_is_stored_as_a_hash_only():
    plain = tokens.create(person(), "laptop")
    row = ApiToken.objects.values().get()
    assert plain not in str(row)
    assert plain.startswith(row["prefix"])


def test_a_revoked_token_opens_nothing():
    ann = person()
    plain = tokens.create(ann, "laptop")
    assert tokens.revoke(ann, ann.api_tokens.get().pk)
    assert tokens.authenticate(plain) is None


def test_nobody_revokes_the_token_of_another():
    ann, bob = person("ann"), person("bob")
    tokens.create(ann, "laptop")
    assert not tokens.revoke(bob, ann.api_tokens.get().pk)


def test_the_token_of_a_switched_off_account_opens_nothing():
    ann = person()
    plain = tokens.create(ann, "laptop")
    ann.is_active = False
    ann.save()
    assert tokens.authenticate(plain) is None


@pytest.mark.parametrize("wrong", ["", "gfl_", "gfl_" + "x" * 43, "\x00", "ü"])
def test_a_wrong_token_opens_nothing(wrong):
    assert tokens.authenticate(wrong) is None
