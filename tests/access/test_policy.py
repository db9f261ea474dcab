from types import SimpleNamespace

import pytest
from django.contrib.auth.models import AnonymousUser, User

from engine.access import SYSTEM, policy
from engine.core.errors import Forbidden

from .people import person

pytestmark = pytest.mark.django_db

SEES = {"workflow.view", "run.view", "feedback.view"}
EXPECTED = {
    "viewer": SEES,
    "reviewer": SEES | {"feedback.answer"},
    "designer": SEES | {"workflow.edit", "workflow.publish", "run.start_test"},
    "operator": SEES | {"run.start", "run.start_test", "run.control", "automation.edit", "monitor.view"},
    "admin": set(policy.ACTIONS) - {"feedback.answer"},
}


@pytest.mark.parametrize("role", policy.ROLES)
def test_a_role_grants_what_the_table_says_and_nothing_else(role):
    user = person("ann", role)
    assert {action for action in policy.ACTIONS if policy.can(user, action)} == EXPECTED[role]


def test_nobody_may_do_anything_without_a_role():
    for user in (person("nobody"), AnonymousUser()):
        assert not any(policy.can(user, action) for action in policy.ACTIONS)


def test_a_switched_off_account_may_do_nothing():
    user = person("ann", "admin")
    user.is_active = False
    assert not any(policy.can(user, action) for action in policy.ACTIONS)


def test_a_superuser_has_the_rights_of_an_admin_and_still_may_not_decide():
    root = User.objects.create_superuser("root", password="x")
    assert policy.can(root, "admin")
    assert not policy.can(root, "feedback.answer")


def test_the_engine_itself_may_do_everything():
    assert all(policy.can(SYSTEM, action) for action in policy.ACTIONS)


def test_an_unknown_action_is_a_mistake_and_not_a_denial():
    with pytest.raises(ValueError, match=r"run\.begin"):
        policy.can(person("ann", "admin"), "run.begin")


def test_a_request_for_named_people_is_theirs_to_answer():
    ann, bob = person("ann", "reviewer"), person("bob", "reviewer", groups=("legal",))
    for_ann = SimpleNamespace(assignees={"users": ["ann"]})
    for_legal = SimpleNamespace(assignees={"users": [], "groups": ["legal"]})
    for_all = SimpleNamespace(assignees={})
    assert [policy.can(ann, "feedback.answer", item) for item in (for_ann, for_legal, for_all)] == [True, False, True]
    assert [policy.can(bob, "feedback.answer", item) for item in (for_ann, for_legal, for_all)] == [False, True, True]


def test_a_designer_steers_test_runs_only():
    designer = person("ann", "designer")
    assert policy.can(designer, "run.control", SimpleNamespace(mode="test"))
    assert not policy.can(designer, "run.control", SimpleNamespace(mode="live"))


def test_a_refusal_names_the_roles_that_would_do():
    with pytest.raises(Forbidden, match="operator, admin"):
        policy.require(person("ann", "viewer"), "run.control")
