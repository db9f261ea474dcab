"""What callers and monitoring see of a disk that is nearly full."""

from collections.abc import Callable

import pytest
from django.test import Client

from engine.rest import health
from engine.runs import disk

from .calls import problem


@pytest.fixture
def free(monkeypatch, settings) -> Callable[[float], None]:
    settings.GRAFLOW_DISK_WARN_PERCENT, settings.GRAFLOW_DISK_REFUSE_PERCENT = 10, 5
    monkeypatch.setattr(health, "_FRESH_SECONDS", 0.0)
    return lambda percent: monkeypatch.setattr(disk, "free_share", lambda _: percent / 100)


def test_a_start_is_refused_with_the_time_to_come_back(boss, published, free):
    free(3)
    refused = boss.post("runs/", {"workflow": published["id"]})
    assert "3.0 % free" in problem(refused, 503, "disk_full")["detail"]
    assert int(refused["Retry-After"]) > 0
    free(6)
    assert boss.post("runs/", {"workflow": published["id"]}).status_code == 201


def test_a_refused_start_leaves_its_idempotency_key_unused(boss, published, free):
    def start():
        return boss.post("runs/", {"workflow": published["id"]}, Idempotency_Key="k")

    free(3)
    problem(start(), 503, "disk_full")
    free(50)
    assert start().status_code == 201


def test_a_trigger_is_refused_the_same_way(boss, published, free):
    made = boss.post(f"workflows/{published['id']}/triggers/", {"name": "shop"}).json()

    def pull():
        return Client().post(
            made["path"], {}, "application/json", headers={"Authorization": f"Bearer {made['secret']}"}
        )

    free(3)
    refused = pull()
    problem(refused, 503, "disk_full")
    assert int(refused["Retry-After"]) > 0
    free(50)
    assert pull().status_code == 202


def test_health_and_figures_name_the_disk(boss, free):
    free(7)
    ready = Client().get("/readyz")
    assert ready.status_code == 503
    assert ready.json()["parts"]["disk"] == {"ok": False, "detail": "7.0 % free; below 5 % no further run starts"}
    assert "graflow_disk_free_ratio 0.07" in boss.get("/metrics").content.decode()
    assert boss.get("metrics/").json()["disk"]["ok"] is False
    free(50)
    assert Client().get("/readyz").json()["parts"]["disk"]["ok"] is True
