"""Steps of kind notify in a durable run: one row per address, in the transaction of the step."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from django.contrib.auth.models import Group
from django.utils import timezone

from engine.core.errors import Conflict, Forbidden, NotFound
from engine.runs import api, outbox, retention
from engine.runs.outgoing import OutboxItem
from tests.access.people import person

from .driver import Driver, document, task


def tells(*to: str, **more: Any) -> dict[str, Any]:
    step = {"id": "tell", "kind": "notify", "to": list(to), "subject": "News", "message": {"$": "a"}, **more}
    return document([task("a"), step, task("b")], ["a>tell", "tell>b"])


def told() -> list[tuple[str, str, str]]:
    return list(OutboxItem.objects.order_by("kind", "recipient").values_list("kind", "recipient", "state"))


def test_a_notice_is_one_row_per_address_and_the_input_goes_on(driver: Driver) -> None:
    editors = Group.objects.create(name="editors")
    for name in ("ann", "bob", "cid"):
        member = person(name, "reviewer")
        member.email = f"{name}@example.com" if name != "cid" else ""
        member.save()
        member.groups.add(editors)
    run = driver.start(tells("ann", "group:editors", "bob@example.com", "desk@example.org"))
    run.work("a", value={"n": 1})
    assert told() == [
        ("mail", "ann@example.com", "waiting"),
        ("mail", "bob@example.com", "waiting"),
        ("mail", "desk@example.org", "waiting"),
    ]
    assert set(OutboxItem.objects.values_list("subject", "message")) == {("News", '{"n": 1}')}
    assert (run.task("tell").result, run.task("b").status) == ({"n": 1}, "ready")
    run.work("b")
    assert run.status == "succeeded"


def test_who_cannot_be_told_is_noted_and_holds_nothing_up(driver: Driver, settings: Any) -> None:
    settings.GRAFLOW_WEBHOOKS = {"chat": "https://chat.example.com/"}
    run = driver.start(tells("nobody", "group:none", "no@address@here", webhook="chat"))
    run.work("a", "b")
    assert run.status == "succeeded"
    assert told() == [
        ("mail", "group:none", "failed"),
        ("mail", "no@address@here", "failed"),
        ("mail", "nobody", "failed"),
        ("webhook", "chat", "waiting"),
    ]
    assert "no such user" in (OutboxItem.objects.get(recipient="nobody").error or "")


def test_a_step_that_fails_tells_nobody(driver: Driver) -> None:
    run = driver.start(tells("a@example.com", message={"$": "a.missing"}))
    run.work("a", value={})
    assert (run.status, told()) == ("failed", [])


def test_every_pass_of_a_loop_tells_again(driver: Driver) -> None:
    step = {"id": "tell", "kind": "notify", "to": ["a@example.com"], "message": "m", "max_cycle": 3}
    run = driver.start(document([step], ["tell>tell"]))
    assert (run.status, OutboxItem.objects.count()) == ("succeeded", 3)
    assert len(set(OutboxItem.objects.values_list("dedupe_key", flat=True))) == 3


def test_a_stopped_run_tells_what_it_had_said(driver: Driver) -> None:
    run = driver.start(tells("a@example.com"))
    run.work("a")
    api.stop_run(driver.boss, run.id)
    assert told() == [("mail", "a@example.com", "waiting")]


def test_an_item_is_taken_by_one_and_comes_back_after_a_death(driver: Driver) -> None:
    driver.start(tells("a@example.com")).work("a")
    (pk,) = outbox.due()
    assert outbox.take(pk) is not None
    assert (outbox.take(pk), outbox.due()) == (None, [])
    OutboxItem.objects.update(next_try_at=timezone.now() - timedelta(seconds=1))
    late = outbox.take(pk)
    assert late is not None and late.tries == 2
    outbox.sent(late)
    assert (told(), outbox.due()) == ([("mail", "a@example.com", "sent")], [])


def test_a_try_that_was_given_to_another_says_nothing_any_more(driver: Driver) -> None:
    driver.start(tells("a@example.com")).work("a")
    (pk,) = outbox.due()
    first = outbox.take(pk)
    OutboxItem.objects.update(next_try_at=timezone.now() - timedelta(seconds=1))
    second = outbox.take(pk)
    assert first is not None and second is not None
    outbox.failed(first, "late", final=True)
    assert OutboxItem.objects.get().state == "waiting"
    outbox.sent(second)
    assert OutboxItem.objects.get().state == "sent"


def test_after_the_last_try_an_item_is_given_up(driver: Driver) -> None:
    driver.start(tells("a@example.com")).work("a")
    (pk,) = outbox.due()
    for number in range(1, outbox.MAX_TRIES + 1):
        OutboxItem.objects.update(next_try_at=timezone.now() - timedelta(seconds=1))
        item = outbox.take(pk)
        assert item is not None
        assert outbox.failed(item, "closed") is (number == outbox.MAX_TRIES)
    assert (told(), outbox.due()) == ([("mail", "a@example.com", "failed")], [])


def test_what_was_sent_goes_with_the_history_of_its_run(driver: Driver, settings: Any, tmp_path: Any) -> None:
    settings.GRAFLOW_ARCHIVE_DIR = tmp_path
    run = driver.start(tells("a@example.com"))
    run.work("a", "b")
    OutboxItem.objects.update(state=OutboxItem.SENT)
    assert (run.status, retention.trim(run.row.pk) > 0, OutboxItem.objects.count()) == ("succeeded", True, 0)


def test_what_was_given_up_is_shown_and_sent_again(driver: Driver) -> None:
    run = driver.start(tells("nobody"))
    run.work("a")
    (shown,) = api.list_unsent(driver.boss)
    assert (shown.recipient, shown.task, shown.run, shown.tries) == ("nobody", "tell", run.id, 0)
    assert "no such user" in shown.error
    with pytest.raises(Forbidden):
        api.list_unsent(person("vera", "viewer"))
    with pytest.raises(Forbidden):
        api.send_again(person("dora", "designer"), shown.id)
    api.send_again(driver.boss, shown.id)
    assert (told(), api.list_unsent(driver.boss)) == ([("mail", "nobody", "waiting")], [])
    with pytest.raises(Conflict, match="only one that was given up"):
        api.send_again(driver.boss, shown.id)
    with pytest.raises(NotFound):
        api.send_again(driver.boss, 4711)


def test_messages_of_a_closed_workflow_are_not_shown_to_others(driver: Driver) -> None:
    run = driver.start(tells("nobody"))
    run.work("a")
    run.row.definition.allowed_groups.add(Group.objects.create(name="secret"))
    other = person("otto", "operator")
    assert api.list_unsent(other) == []
    with pytest.raises(NotFound):
        api.send_again(other, OutboxItem.objects.get().pk)
