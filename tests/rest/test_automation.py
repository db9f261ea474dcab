"""What starts a workflow without a person at hand: schedules over HTTP."""

from __future__ import annotations

import pytest

from .calls import problem

DAILY = {"cron": "30 7 * * *", "zone": "Europe/Berlin"}


@pytest.fixture
def schedules(published):
    return f"workflows/{published['id']}/schedules/"


def test_a_schedule_is_made_shown_changed_and_deleted(boss, schedules):
    made = boss.post(schedules, {**DAILY, "missed": "skip"})
    assert made.status_code == 201, made.content
    shown = made.json()
    assert (shown["cron"], shown["zone"], shown["missed"], shown["enabled"]) == (*DAILY.values(), "skip", True)
    assert len(shown["upcoming"]) == 5
    assert shown["upcoming"][0] == shown["next_at"]
    assert boss.get(schedules).json() == {"results": [shown], "next": None}
    off = boss.patch(f"{schedules}{shown['id']}/", {"enabled": False}).json()
    assert (off["enabled"], off["next_at"], off["cron"]) == (False, None, DAILY["cron"])
    assert boss.delete(f"{schedules}{shown['id']}/").status_code == 204
    problem(boss.get(f"{schedules}{shown['id']}/"), 404, "not_found")


@pytest.mark.parametrize(("body", "path"), [({"cron": "61 * * * *"}, "cron"), ({**DAILY, "zone": "Mars/Base"}, "zone")])
def test_a_wrong_value_is_named_with_an_example(boss, schedules, body, path):
    refused = problem(boss.post(schedules, body), 422, "invalid_input")
    assert refused["errors"][0]["path"] == path
    assert body[path] in refused["detail"]
    assert ("MON-FRI" if path == "cron" else "Europe/Berlin") in refused["detail"]
    assert boss.get(schedules).json()["results"] == []


def test_the_same_key_makes_one_schedule(boss, schedules):
    first, again = (boss.post(schedules, DAILY, Idempotency_Key="k") for _ in range(2))
    assert first.json()["id"] == again.json()["id"]
    assert len(boss.get(schedules).json()["results"]) == 1


def test_a_designer_sees_schedules_and_keeps_none(boss, caller, schedules):
    made = boss.post(schedules, DAILY).json()
    dora = caller("designer")
    assert dora.get(schedules).status_code == 200
    problem(dora.post(schedules, DAILY), 403, "forbidden")
    problem(dora.patch(f"{schedules}{made['id']}/", {"enabled": False}), 403, "forbidden")
    assert dora.delete(f"{schedules}{made['id']}/").status_code == 403
