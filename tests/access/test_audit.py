import pytest
from django.contrib.auth.models import User
from django.db import transaction

from engine.access import SYSTEM, audit
from engine.access.models import AuditEntry, AuditHead

from .people import person

pytestmark = pytest.mark.django_db


@pytest.fixture
def chain():
    ann = person("ann", "operator")
    with audit.acting_via("api"):
        for number in range(5):
            audit.write(
                ann, "run.start", "run", number, {"weight": 1e5, "share": 0.1, "note": "a\x00b", "n": float("nan")}
            )
    assert audit.verify() == []


def test_an_entry_says_who_did_what_and_by_which_door(chain):
    entry = AuditEntry.objects.first()
    assert (entry.actor_name, entry.action, entry.obj_type, entry.obj_id, entry.via) == (
        "ann", "run.start", "run", "4", "api",
    )  # fmt: skip


def test_a_changed_entry_is_found(chain):
    third = AuditEntry.objects.order_by("id")[2]
    AuditEntry.objects.filter(pk=third.pk).update(actor_name="bob")
    assert [flaw.entry_id for flaw in audit.verify()] == [third.pk]


def test_changed_data_is_found(chain):
    third = AuditEntry.objects.order_by("id")[2]
    AuditEntry.objects.filter(pk=third.pk).update(data={"share": 0.2})
    assert [flaw.entry_id for flaw in audit.verify()] == [third.pk]


@pytest.mark.parametrize("place", [0, 2, -1])
def test_a_removed_entry_is_found(chain, place):
    gone = list(AuditEntry.objects.order_by("id").values_list("pk", flat=True))[place]
    AuditEntry.objects.filter(pk=gone).delete()
    assert audit.verify()[0].entry_id == gone


def test_an_added_entry_is_found(chain):
    last = AuditEntry.objects.first()
    last.pk = last.pk + 1
    last.save(force_insert=True)
    assert audit.verify()


def test_a_deed_that_is_rolled_back_leaves_no_entry(chain):
    before = AuditHead.objects.get().count
    with pytest.raises(RuntimeError), transaction.atomic():
        audit.write(SYSTEM, "run.stop", "run", 1)
        raise RuntimeError
    assert AuditHead.objects.get().count == before
    assert audit.verify() == []


def test_an_entry_outlives_the_account_it_names(chain):
    person("bob").delete()
    User.objects.get(username="ann").delete()
    assert AuditEntry.objects.filter(actor_name="ann").exists()
    assert audit.verify() == []
