"""Hints never make the engine wait."""

from __future__ import annotations

import asyncio
import threading
import time

import pytest

from engine.live import announcer as module
from engine.live.announcer import Announcer
from engine.live.hub import GROUP


class Layer:
    """A channel layer that notes what it was given, or fails, or hangs."""

    def __init__(self, *, fails: bool = False, hangs: bool = False) -> None:
        self.fails, self.hangs = fails, hangs
        self.sent: list[dict] = []
        self.entered = threading.Event()
        self.open = threading.Event()
        self.open.set()

    async def group_send(self, topic: str, message: dict) -> None:
        if self.fails:
            raise ConnectionError("no Redis")
        if self.hangs:
            await asyncio.sleep(60)
        self.entered.set()
        while not self.open.is_set():
            await asyncio.sleep(0.01)
        assert topic == GROUP
        self.sent.append(message)

    def news(self) -> dict:
        """The newest hint of every topic."""
        return {topic: news for message in self.sent for topic, news in message["news"].items()}


@pytest.fixture
def layer(monkeypatch):
    made = Layer()
    monkeypatch.setattr(module, "get_channel_layer", lambda: made)
    monkeypatch.setattr(module, "_QUIET_SECONDS", 0.01)
    return made


def test_a_hint_reaches_its_topic(layer):
    announcer = Announcer()
    announcer.announce("run.1", seq=7)
    assert announcer.flush(5)
    assert layer.sent == [{"type": "hint", "news": {"run.1": {"seq": 7}}}]


def test_hints_that_wait_together_become_one(layer):
    announcer = Announcer()
    layer.open.clear()
    announcer.announce("run.0", seq=1)
    assert layer.entered.wait(5)  # from here on everything waits behind the first
    for seq in (3, 9, 4):
        announcer.announce("run.1", seq=seq)
        announcer.announce("inbox", changed=[str(seq), "x"])
    layer.open.set()
    assert announcer.flush(5)
    assert len(layer.sent) == 2
    assert layer.news() == {"run.0": {"seq": 1}, "run.1": {"seq": 9}, "inbox": {"changed": ["3", "x", "9", "4"]}}


def test_very_many_topics_go_in_several_messages(layer, monkeypatch):
    monkeypatch.setattr(module, "TOGETHER", 3)
    announcer = Announcer()
    layer.open.clear()
    announcer.announce("run.0", seq=1)
    assert layer.entered.wait(5)
    for number in range(1, 9):
        announcer.announce(f"run.{number}", seq=1)
    layer.open.set()
    assert announcer.flush(5)
    assert [len(message["news"]) for message in layer.sent] == [1, 3, 3, 2]
    assert (len(layer.news()), announcer.sent) == (9, 9)


@pytest.mark.parametrize("trouble", [{"fails": True}, {"hangs": True}])
def test_a_layer_in_trouble_costs_hints_and_no_time(layer, monkeypatch, trouble):
    monkeypatch.setattr(module, "SEND_SECONDS", 0.05)
    layer.__dict__.update(trouble)
    announcer = Announcer()
    started = time.monotonic()
    for number in range(1_000):
        announcer.announce(f"run.{number}", seq=1)
    assert time.monotonic() - started < 1.0
    assert announcer.flush(5)
    assert announcer.failed > 0
    layer.fails = layer.hangs = False
    announcer.announce("run.1", seq=2)
    assert announcer.flush(5)
    assert layer.news()["run.1"] == {"seq": 2}


def test_what_waits_is_bounded(layer, monkeypatch):
    monkeypatch.setattr(module, "MAX_PENDING", 10)
    layer.open.clear()
    announcer = Announcer()
    for number in range(100):
        announcer.announce(f"run.{number}", seq=1)
    assert announcer.dropped >= 80
    layer.open.set()
    assert announcer.flush(5)
