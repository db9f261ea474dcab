"""A workflow inside a workflow, a request and a mail, in real processes that are killed in the middle."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.execution.web import Web, web_server
from tests.stack import Stack

MODULES = "graflow_site.demo,tests.acceptance.gated"
CHILD: dict[str, Any] = {
    "schema": "graflow/1",
    "name": "Inner",
    "inputs": {"type": "object", "properties": {"folder": {"type": "string"}}},
    "tasks": [{"id": "hold", "uses": "gated.hold", "params": {"name": "first"}}],
}


def parent(url: str) -> dict[str, Any]:
    steps = [
        {"id": "inner", "kind": "workflow", "workflow": "inner", "inputs": {"folder": {"$": "inputs.folder"}}},
        {"id": "call", "kind": "http", "method": "POST", "url": url, "body": {"$": "inner.name"}},
        {"id": "tell", "kind": "notify", "to": ["desk@example.com"], "message": {"$": "call.body.said"}},
    ]
    edges = [{"source": "inner", "target": "call"}, {"source": "call", "target": "tell"}]
    inputs = {"type": "object", "properties": {"folder": {"type": "string"}}}
    return {"schema": "graflow/1", "name": "Outer", "inputs": inputs, "tasks": steps, "edges": edges}


@pytest.fixture
def web() -> Iterator[Web]:
    with web_server() as server:
        server.says(200, {"said": "thank you"})
        yield server


def call(stack: Stack, method: str, path: str, body: Any = None) -> Any:
    answer = stack.call(method, f"/api/v1/{path}", body, token=stack.token("ann"))
    assert answer.status in (200, 201), answer
    return answer.body


@pytest.mark.timeout(240)
@pytest.mark.parametrize("mode", ["embedded", "full"])
def test_killed_processes_neither_lose_nor_double_a_child_a_request_or_a_mail(
    boot: Callable[..., Stack], web: Web, tmp_path: Path, mode: str
) -> None:
    tmp_path.chmod(0o777)
    stack = boot(
        mode, GRAFLOW_TASK_MODULES=MODULES, GRAFLOW_HTTP_HOSTS="127.0.0.1", GRAFLOW_HTTP_PORTS=str(web.port),
        GRAFLOW_HTTP_ALLOW_PRIVATE="127.0.0.0/8",
    )  # fmt: skip
    for document in (CHILD, parent(web.url("/said"))):
        made = call(stack, "POST", "workflows/", {"name": document["name"], "document": document})
        call(stack, "POST", f"workflows/{made['id']}/versions/", {"note": ""})
    run = call(stack, "POST", "runs/", {"workflow": "outer", "inputs": {"folder": str(tmp_path)}})
    started = tmp_path / "first.started"
    stack.wait_for(lambda: started.exists() and started.read_text().strip(), "the body of the child")
    stack.kill("engine")
    os.kill(int(started.read_text().split()[0]), signal.SIGKILL)
    stack.wait_for(lambda: len(started.read_text().split()) == 2, "another try of the lost body")
    (tmp_path / "go").touch()
    stack.wait_for(lambda: call(stack, "GET", f"runs/{run['id']}/")["status"] == "succeeded", "the end", 60)
    mails = stack.data_dir / "mails"
    stack.wait_for(lambda: mails.exists() and list(mails.iterdir()), "the mail")
    shown = call(stack, "GET", f"runs/{run['id']}/")
    (child,) = shown["children"]
    assert (child["status"], call(stack, "GET", f"runs/{child['run']}/")["parent"]) == ("succeeded", run["id"])
    assert [(seen.method, seen.body) for seen in web.seen] == [("POST", b'"first"')]
    sent = "".join(path.read_text() for path in mails.iterdir())
    assert (sent.count("desk@example.com"), sent.count("thank you")) == (1, 1)
    stack.manage("check_runs")
