"""One contract for the stores of channels: a body's writes come together, and no update is ever lost."""

from __future__ import annotations

import threading

import pytest

from engine import Channel
from engine.core.channel import MemoryChannels, Write
from engine.execution.redis_channel import RedisChannels
from engine.execution.redis_wire import new_prefix


@pytest.fixture(params=["memory", "redis"])
def store(request, redis_client):
    if request.param == "memory":
        yield MemoryChannels()
        return
    before = set(redis_client.keys("*"))
    channels = RedisChannels(redis_client, new_prefix("test"))
    yield channels
    channels.clear()
    assert set(redis_client.keys("*")) <= before


def test_values_come_back_as_they_were(store):
    values = {"t": "text", "n": None, "i": 2**70, "f": 2.0, "l": [1, [2]], "d": {"a": {"b": None}}, "b": True, "ü:[": 1}
    channel = Channel("c", store)
    for key, value in values.items():
        channel.set(key, value)
    names = channel.keys()
    assert {key: channel.get(key, "missing") for key in names} == values
    assert isinstance(channel.get("f"), float)


def test_a_stored_none_is_not_a_missing_key(store):
    store.commit([Write("c", "set", "k", None)])
    assert store.read("c", "k") == (True, None)
    assert store.read("c", "other") == (False, None)
    assert store.read("other", "k") == (False, None)


def test_deleted_keys_are_gone_and_channels_keep_apart(store):
    store.commit([Write("a", "set", "k", 1), Write("b", "set", "k", 2)])
    store.commit([Write("a", "delete", "k"), Write("a", "delete", "never")])
    assert (store.keys("a"), store.keys("b")) == ([], ["k"])


def test_writes_of_one_commit_build_on_each_other(store):
    store.commit(
        [
            Write("c", "set", "n", 5),
            Write("c", "incr", "n", 2),
            Write("c", "append", "l", 1),
            Write("c", "append", "l", 2),
        ]
    )
    assert (store.read("c", "n"), store.read("c", "l")) == ((True, 7), (True, [1, 2]))


def test_a_commit_that_cannot_be_made_fails_with_a_type_error(store):
    store.commit([Write("c", "set", "k", "text")])
    with pytest.raises(TypeError):
        store.commit([Write("c", "incr", "k", 1)])
    assert store.read("c", "k") == (True, "text")


def test_parallel_writers_lose_nothing(store):
    def write():
        for _ in range(25):
            store.commit([Write("c", "incr", "n", 1), Write("c", "append", "l", "x")])

    threads = [threading.Thread(target=write) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert store.read("c", "n") == (True, 100)
    assert len(store.read("c", "l")[1]) == 100


def test_redis_values_expire_when_nobody_clears_them(redis_client):
    channels = RedisChannels(redis_client, "t:expiry")
    channels.commit([Write("c", "set", "k", 1)])
    assert 0 < redis_client.ttl("t:expiry:channels") <= 3600
    channels.clear()


def test_redis_refuses_what_json_cannot_say(redis_client):
    channels = RedisChannels(redis_client, "t:json")
    for value, place in (({1: 2}, "key 1"), ({"a": [set()]}, r"a\[0\]"), (object(), "object")):
        with pytest.raises(TypeError, match=place):
            channels.commit([Write("c", "set", "k", value)])
    assert not redis_client.exists("t:json:channels")
