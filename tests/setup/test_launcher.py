"""`manage.py up`: what it starts it keeps, and when it ends nothing of it is left."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest

from graflow_site import launcher, services
from tests.stack import ROOT


def is_alive(pid: int) -> bool:
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except FileNotFoundError:
        return False
    return state != "Z"


def family(data_dir: Path) -> set[int]:
    """Every process that was started for this data folder, however deep."""
    found = set()
    for path in Path("/proc").glob("[0-9]*/environ"):
        try:
            if f"GRAFLOW_DATA_DIR={data_dir}\0".encode() in path.read_bytes() + b"\0":
                found.add(int(path.parent.name))
        except OSError:
            continue
    return {pid for pid in found if is_alive(pid)}


def gone(data_dir: Path, *pids: int, seconds: float = 10.0) -> bool:
    """Whether the family ends in time, and `pids` too: one that is ending has no environment to know it by."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if not family(data_dir) and not any(map(is_alive, pids)):
            return True
        time.sleep(0.05)
    return False


def up(tmp_path: Path, *arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "manage.py", "up", *arguments],
        cwd=ROOT,
        env={**os.environ, "GRAFLOW_DATA_DIR": str(tmp_path), **environment},
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )


def test_check_says_of_everything_whether_it_is_there(tmp_path):
    done = up(tmp_path, "--check", "--mode", "full", PORT=str(services.free_port()))
    assert done.returncode == 0, done.stdout + done.stderr
    assert [line.split(maxsplit=1)[0] for line in done.stdout.splitlines()] == ["ok"] * 4


def test_check_names_what_is_missing_and_how_to_get_it(tmp_path, monkeypatch):
    monkeypatch.setenv("GRAFLOW_DATA_DIR", str(tmp_path))
    monkeypatch.delenv("REDIS_URL")
    monkeypatch.setattr(services, "redis_program", lambda: None)
    with (tmp_path / "said").open("w+") as out:
        assert launcher.Launcher("embedded", out).check() == 1
        out.seek(0)
        assert "missing  Redis: install redis-server, or set REDIS_URL" in out.read()


def test_a_taken_port_is_said_at_once(tmp_path):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = str(taken.getsockname()[1])
        began = time.monotonic()
        done = up(tmp_path, PORT=port)
    assert done.returncode == 1
    assert f"Port {port} on 127.0.0.1 is taken" in done.stderr
    assert time.monotonic() - began < 5
    assert not (tmp_path / "running.json").exists()


def test_a_wrong_setting_is_said_without_the_code_that_found_it(tmp_path):
    done = up(tmp_path, PORT=str(services.free_port()), LOG_LEVEL="LOUD")
    assert (done.returncode, done.stderr) == (1, "")
    assert done.stdout == "LOG_LEVEL='LOUD': expected one of DEBUG, INFO, WARNING, ERROR\n"


def test_a_redis_of_ones_own_that_does_not_answer_is_said(tmp_path, monkeypatch):
    monkeypatch.setenv("GRAFLOW_DATA_DIR", str(tmp_path))
    with (tmp_path / "said").open("w+") as out, socket.socket() as there:
        there.bind(("127.0.0.1", 0))
        there.listen()
        for port in (there.getsockname()[1], services.free_port()):
            monkeypatch.setenv("REDIS_URL", f"redis://:hunter2@127.0.0.1:{port}/0")
            launcher.Launcher("embedded", out)._start_redis()
        out.seek(0)
        assert out.read() == (
            f"REDIS_URL=redis://:...@127.0.0.1:{port}/0 does not answer. "
            "Runs are kept, but no task runs until it does.\n"
        )


def test_a_second_start_and_a_first_are_the_same_product(boot):
    stack = boot("embedded")
    first = stack.console.read_text()
    assert f"Graflow is ready: http://localhost:{stack.port}/" in first
    assert f"First login (good once, for 30 minutes): http://localhost:{stack.port}/setup/" in first
    stack.account("first", "admin")
    key = (stack.data_dir / "secret_key").read_bytes()

    assert stack.stop(signal.SIGINT) == 0
    assert gone(stack.data_dir)
    assert not (stack.data_dir / "running.json").exists()

    stack.start()
    second = stack.console.read_text().removeprefix(first)
    assert "Graflow is ready" in second
    assert "First login" not in second
    assert (stack.data_dir / "secret_key").read_bytes() == key


def test_a_data_folder_belongs_to_one_launcher(embedded_stack):
    done = up(embedded_stack.data_dir, PORT=str(services.free_port()))
    assert done.returncode == 1
    assert "already runs on" in done.stderr
    assert embedded_stack.call("GET", "/healthz").status == 200


@pytest.mark.parametrize("mode", ["embedded", "full"])
def test_nothing_outlives_a_killed_launcher(boot, mode):
    stack = boot(mode)
    pids = stack.pids()
    assert len(family(stack.data_dir)) > len(pids)  # the worker's pool belongs to it too
    stack.kill("up")
    assert gone(stack.data_dir, *pids.values()), (family(stack.data_dir), pids)
    stack.start()


def test_a_process_that_dies_comes_back_and_it_is_said(boot):
    stack = boot("embedded")
    for name in ("worker", "engine", "web", "redis"):
        old = stack.kill(name)
        stack.wait_for(lambda name=name, old=old: stack.pids()[name] != old, f"a new {name}")
    stack.wait_until_ready()
    said = stack.console.read_text()
    for name in ("worker", "engine", "web", "redis"):
        assert f"{name} was ended by SIGKILL; it starts again in 0.25 s." in said


def test_a_process_that_dies_again_and_again_ends_the_product(boot):
    stack = boot("embedded")
    for death in range(1, launcher.MAX_DEATHS + 1):
        old = stack.kill("engine")
        if death < launcher.MAX_DEATHS:
            stack.wait_for(lambda old=old: stack.pids()["engine"] != old, "a new engine")
    assert stack.process is not None
    assert stack.process.wait(30) == 1
    assert "for the 5th time in a minute. Giving up." in stack.console.read_text()
    assert gone(stack.data_dir)


def test_other_commands_find_the_private_services(full_stack):
    said = json.loads((full_stack.data_dir / "running.json").read_text())
    assert said["DATABASE_URL"].startswith("postgres://")
    token = full_stack.token("finder", "viewer")
    assert full_stack.call("GET", "/api/v1/workflows/", token=token).status == 200


def test_full_mode_has_two_workers_and_a_redis_behind_a_password(full_stack):
    assert {"web", "engine", "worker-1", "worker-2", "redis", "postgres"} == set(full_stack.pids())
    assert full_stack.running()["REDIS_URL"].startswith("redis://:")
    command = Path(f"/proc/{full_stack.pids()['redis']}/cmdline").read_text()
    password = full_stack.running()["REDIS_URL"].split(":")[2].split("@")[0]
    assert password not in command
