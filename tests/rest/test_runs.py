import pytest

from engine.runs import admission, retention
from engine.runs.models import Run

from .calls import ASK, problem


def test_a_started_run_shows_its_tasks(run):
    assert {"id", "workflow", "version", "status", "reason", "seq", "inputs", "started_at", "ended_at"} <= run.keys()
    by_id = {task["id"]: task for task in run["tasks"]}
    assert (by_id["prepare"]["status"], by_id["prepare"]["outcome"]) == ("completed", "success")
    assert by_id["ask"]["status"] == "feedback_required"
    assert {"id", "status", "outcome", "iteration", "attempt", "started_at", "ended_at"} <= by_id["done"].keys()


def test_the_same_key_starts_one_run(boss, published):
    body = {"workflow": published["id"]}
    first, again = (boss.post("runs/", body, Idempotency_Key="order-1") for _ in range(2))
    assert first.status_code == again.status_code == 201
    assert first.json()["id"] == again.json()["id"]
    assert len(boss.get("runs/").json()["results"]) == 1


def test_the_same_key_with_another_body_is_refused(boss, published):
    boss.post("runs/", {"workflow": published["id"]}, Idempotency_Key="order-1")
    other = boss.post("runs/", {"workflow": published["id"], "inputs": {"a": 1}}, Idempotency_Key="order-1")
    assert other.status_code == 422


def test_events_are_gapless_from_any_place(boss, run):
    url = f"runs/{run['id']}/events/"
    everything = boss.get(url, after=0).json()
    seqs = [event["seq"] for event in everything["results"]]
    assert seqs == list(range(1, run["seq"] + 1))
    assert everything["last_seq"] == run["seq"]
    assert boss.get(url, after=2).json()["results"] == everything["results"][2:]
    assert boss.get(url, after=run["seq"]).json() == {"results": [], "last_seq": run["seq"]}
    assert {"seq", "type", "task_id", "from", "to", "iteration", "attempt", "at"} <= everything["results"][0].keys()


def test_the_short_status(boss, run):
    status = boss.get(f"runs/{run['id']}/status/").json()
    assert (status["id"], status["seq"]) == (run["id"], run["seq"])


def test_a_task_shows_its_result(boss, run):
    detail = boss.get(f"runs/{run['id']}/tasks/prepare/").json()
    assert detail["result"] == {"total": 3}
    problem(
        boss.get(f"runs/{run['id']}/tasks/nothing/"), 404, boss.get(f"runs/{run['id']}/tasks/nothing/").json()["code"]
    )


def test_stopping_ends_the_run_and_closes_its_requests(boss, run, question):
    assert boss.post(f"runs/{run['id']}/stop/", {"reason": "enough"}).status_code == 200
    assert boss.get(f"runs/{run['id']}/").json()["status"] in ("stopped", "cancelled")
    assert boss.get(f"feedback/{question['id']}/").json()["state"] == "withdrawn"
    problem(boss.post(f"feedback/{question['id']}/answer/", {"decision": "approve"}), 410, "feedback_closed")


def test_what_does_not_apply_is_a_conflict(boss, run):
    boss.post(f"runs/{run['id']}/stop/")
    for verb in ("pause", "resume"):
        assert boss.post(f"runs/{run['id']}/{verb}/").status_code == 409


def test_the_status_of_a_workflow_is_that_of_its_newest_run(boss, published, run):
    status = boss.get(f"workflows/{published['id']}/status/").json()
    assert {"workflow_id", "status", "tasks_completed", "tasks_pending", "start_time", "run_id"} <= status.keys()
    assert status["run_id"] == run["id"]


def test_stopping_a_workflow_twice_gives_the_same_kind_of_answer(boss, published, run):
    first = boss.post(f"workflows/{published['id']}/stop/")
    again = boss.post(f"workflows/{published['id']}/stop/")
    assert first.json()["stopped"] == [run["id"]]
    assert (first.status_code, again.status_code) == (200, 200)
    assert again.json()["stopped"] == []


def test_runs_are_filtered(boss, published, run):
    def ids(**query):
        return [found["id"] for found in boss.get("runs/", **query).json()["results"]]

    assert ids(workflow=published["slug"]) == [run["id"]]
    assert ids(status=run["status"]) == [run["id"]]
    assert ids(status="failed") == []
    assert ids(started_after="2000-01-01T00:00:00Z", started_before="2100-01-01T00:00:00+00:00") == [run["id"]]
    assert ids(started_after="2100-01-01") == []
    assert boss.get("runs/", started_after="yesterday").status_code == 400


def test_a_workflow_without_a_version_cannot_run(boss):
    made = boss.post("workflows/", {"name": "Draft only", "document": ASK}).json()
    assert boss.post("runs/", {"workflow": made["id"]}).status_code in (409, 422)


def test_a_start_may_name_a_deadline(boss, published):
    started = boss.post("runs/", {"workflow": published["id"], "deadline": 60}).json()
    assert started["deadline_at"] > started["created_at"]
    problem(boss.post("runs/", {"workflow": published["id"], "deadline": 0}), 422, "invalid_input")


def test_a_second_start_with_a_business_key_answers_with_the_first_run(boss, published):
    body = {"workflow": published["id"], "business_key": "order-1"}
    assert boss.post("runs/", body).json()["id"] == boss.post("runs/", body).json()["id"]
    problem(boss.post("runs/", {**body, "business_key": "x" * 201}), 422, "invalid_input")


def test_a_full_engine_says_when_to_come_back(boss, published, run, settings):
    admission.forget()
    Run.objects.filter(public_id=run["id"]).update(status="running")  # it waits for a person, which takes no place
    settings.GRAFLOW_MAX_ACTIVE_RUNS = 1
    refused = boss.post("runs/", {"workflow": published["id"]})
    problem(refused, 429, "engine_full")
    assert int(refused["Retry-After"]) > 0


def test_archived_events_answer_with_a_reload(boss, run, settings, tmp_path):
    settings.GRAFLOW_ARCHIVE_DIR = tmp_path
    seq = boss.post(f"runs/{run['id']}/stop/").json()["seq"]
    retention.trim(Run.objects.get(public_id=run["id"]).pk)
    answer = boss.get(f"runs/{run['id']}/events/", after=0).json()
    assert answer == {"results": [], "last_seq": seq, "min_seq": seq + 1, "reload": True}
    assert boss.get(f"runs/{run['id']}/").json()["seq"] == seq
    assert boss.get(f"runs/{run['id']}/events/", after=seq).json() == {"results": [], "last_seq": seq}


@pytest.mark.parametrize("inputs", [[], "x", 3])
def test_inputs_are_an_object(boss, published, inputs):
    refused = problem(boss.post("runs/", {"workflow": published["id"], "inputs": inputs}), 422, "invalid_input")
    assert refused["errors"][0]["path"] == "inputs"


def test_the_catalogue_lists_tasks_and_kinds(boss):
    catalogue = boss.get("tasks/").json()
    assert {"approval", "text"} <= {kind["kind"] for kind in catalogue["kinds"]}
    assert all({"name", "doc", "module", "parameters", "defaults"} == task.keys() for task in catalogue["results"])


def test_metrics_have_the_promised_fields(boss, run):
    metrics = boss.get("metrics/").json()
    assert {"tasks_executed", "tasks_failed", "average_execution_time", "uptime"} <= metrics.keys()


def test_the_audit_log_names_who_started_the_run(boss, run):
    newest = boss.get("audit/", obj_type="run").json()["results"]
    assert (boss.user.username, "api") in {(entry["actor"], entry["via"]) for entry in newest}
