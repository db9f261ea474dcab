"""What the run and the workers of the Redis backend agree on: keys, scripts, the Celery app and its messages.

Keys of one run, all below its own prefix and all with an expiry:

    <prefix>:open              set: jobs whose result is still wanted
    <prefix>:inbox             list: what workers tell the run (JSON)
    <prefix>:lease:<job>       string: the worker that carries the job out; gone when it stopped renewing
    <prefix>:reply:<ask>       list: the run's answer to one question of a body
    <prefix>:channels          hash: the committed channel values, `["channel","key"]` -> JSON
    <prefix>:channels:version  counter: grows with every commit
    <prefix>:barrier:<id>      hash: participants expected
    <prefix>:arrived:<id>      set: participants that have arrived

Jobs wait in the Celery queue under the queue's own name. Nothing but JSON ever goes through Redis.
"""

from __future__ import annotations

import json
import uuid
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, quote, urlsplit

import redis
from celery import Celery
from kombu import Exchange, Queue
from redis.commands.core import Script

from engine.core.errors import WorkflowStateError

KEEP_SECONDS = 3600
"""How long anything of a run stays in Redis when nobody clears it away."""
LEASE_SECONDS = 5.0
"""A worker that has not renewed its lease for this long counts as lost."""
REPLY_SECONDS = 30
"""How long a body waits for the run to answer a question."""
REDELIVERY_SECONDS = 30
"""A job that was given to a worker which died before it took it up is handed out again after this time."""
QUEUE = "graflow"
JOB_NAME = "graflow.carry_out"


class Keys:
    """The keys below one prefix."""

    def __init__(self, prefix: str) -> None:
        self.prefix = prefix
        self.open, self.inbox = f"{prefix}:open", f"{prefix}:inbox"
        self.channels, self.version = f"{prefix}:channels", f"{prefix}:channels:version"

    def lease(self, job: str) -> str:
        return f"{self.prefix}:lease:{job}"

    def reply(self, ask: str) -> str:
        return f"{self.prefix}:reply:{ask}"

    def barrier(self, name: str) -> str:
        return f"{self.prefix}:barrier:{name}"

    def arrived(self, name: str) -> str:
        return f"{self.prefix}:arrived:{name}"


def new_prefix(base: str | None = None) -> str:
    """A prefix that no other run has."""
    return f"{base or 'graflow'}:{uuid.uuid4().hex}"


def script(client: redis.Redis, name: str) -> Script:
    """One of `scripts/*.lua`, ready to be called."""
    text = (Path(__file__).parent / "scripts" / f"{name}.lua").read_text(encoding="utf-8")
    return client.register_script(text)


def connect(config: dict[str, Any]) -> redis.Redis:
    """The client of a `backend_config`: its `redis_client`, else one for its `url`, else for `host port db`."""
    if (given := config.get("redis_client")) is not None:
        return given  # type: ignore[no-any-return]
    if url := config.get("url"):
        return redis.Redis.from_url(url)
    return redis.Redis(host=config.get("host", "localhost"), port=config.get("port", 6379), db=config.get("db", 0))


def url_of(client: redis.Redis) -> str:
    """The address a client is connected to, in the form of redis-py."""
    given = client.connection_pool.connection_kwargs
    secret = (
        f"{quote(given.get('username') or '')}:{quote(str(given['password']), safe='')}@"
        if given.get("password")
        else ""
    )
    if path := given.get("path"):
        return f"unix://{secret}{path}?db={given.get('db') or 0}"
    is_tls = issubclass(client.connection_pool.connection_class, redis.SSLConnection)
    host = f"{given.get('host', 'localhost')}:{given.get('port', 6379)}"
    return f"{'rediss' if is_tls else 'redis'}://{secret}{host}/{given.get('db') or 0}"


def broker_url(url: str) -> str:
    """The same address as Celery writes it."""
    parts = urlsplit(url)
    if parts.scheme != "unix":
        if "db" in (asked := parse_qs(parts.query)) and not parts.path.strip("/"):
            return parts._replace(path=f"/{asked['db'][0]}", query="").geturl()
        return url
    database = parse_qs(parts.query).get("db", ["0"])[0]
    secret = f"{parts.netloc}" if parts.netloc else ""
    return f"redis+socket://{secret}{parts.path}?virtual_host={database}"


def make_app(url: str, queue: str = QUEUE) -> Celery:
    """A Celery app that knows one queue, speaks JSON only and leaves no key of its own behind."""
    app = Celery("graflow", broker=broker_url(url), set_as_current=False)
    app.conf.update(
        # A nameless exchange needs no table of bindings, which would outlive every run and worker.
        task_queues=[Queue(queue, Exchange("", type="direct"), routing_key=queue)],
        task_default_queue=queue, task_default_exchange="", task_default_routing_key=queue,
        task_serializer="json", accept_content=["json"], task_ignore_result=True,
        task_acks_late=False,  # a job is claimed once by its own script; the broker need not remember it
        broker_transport_options={"visibility_timeout": REDELIVERY_SECONDS},
        broker_connection_retry_on_startup=True,
        worker_enable_remote_control=False, worker_send_task_events=False,
        worker_lost_wait=0.5,  # seconds that a dead pool process keeps its place
        worker_prefetch_multiplier=1, worker_disable_prefetch=True,
        worker_hijack_root_logger=False, worker_redirect_stdouts=False,
        enable_utc=True, timezone="UTC",
    )  # fmt: skip
    return app


def dumps(value: Any) -> str:
    """JSON that gives the same value back, but for tuples, which come back as lists. Raises TypeError."""
    check_json(value)
    return json.dumps(value, separators=(",", ":"))


def check_json(value: Any, path: str = "") -> None:
    """Raises TypeError naming the place in `value` that JSON has no form for."""
    if value is None or isinstance(value, (str, int, float, bool)):
        return
    if isinstance(value, dict):
        for key, item in value.items():
            if not isinstance(key, str):
                raise TypeError(f"the key {key!r} {_at(path)}is no text, which JSON needs")
            check_json(item, f"{path}.{key}" if path else key)
    elif isinstance(value, (list, tuple)):
        for number, item in enumerate(value):
            check_json(item, f"{path}[{number}]")
    else:
        raise TypeError(f"a value of type {type(value).__name__} {_at(path)}has no JSON form")


def _at(path: str) -> str:
    return f"at {path} " if path else ""


def text(value: bytes | str) -> str:
    """What Redis gave, whether its client decodes or not."""
    return value.decode() if isinstance(value, bytes) else value


def ping(client: redis.Redis) -> None:
    """Raises WorkflowStateError, with the way out, when there is no Redis."""
    try:
        client.ping()
    except redis.RedisError as error:
        raise WorkflowStateError(
            f"There is no Redis at the address of the backend ({error}). Start one, or name it: backend_config={{'url': ...}}."
        ) from error
