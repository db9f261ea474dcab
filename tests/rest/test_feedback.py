import pytest

from .calls import problem


def answer(caller, question, decision="approve", **body):
    return caller.post(f"feedback/{question['id']}/answer/", {"decision": decision, **body})


def test_a_request_shows_what_is_needed_to_decide(question):
    expected = {"id", "run", "task_id", "iteration", "kind", "prompt", "data", "payload_hash", "version", "state"}
    assert expected | {"options", "schema"} <= question.keys()
    assert (question["kind"], question["prompt"], question["state"]) == ("approval", "Is it fine?", "open")


def test_an_approval_lets_the_run_go_on(boss, run, question):
    assert answer(boss, question, payload_hash=question["payload_hash"]).status_code == 200
    after = boss.get(f"runs/{run['id']}/").json()
    assert after["status"] == "completed" or after["status"] == "succeeded"
    assert boss.get("feedback/", state="open").json()["results"] == []


def test_a_decided_request_is_refused_and_names_the_winner(boss, caller, question):
    answer(boss, question, "reject", reason="too long")
    other = caller("reviewer")
    refused = answer(other, question)
    assert refused.status_code == 409
    assert boss.user.username in str(refused.json())
    assert boss.get(f"feedback/{question['id']}/").json()["decision"]["decision"] == "reject"


def test_a_request_that_changed_meanwhile_is_refused(boss, run, question):
    assert answer(boss, question, payload_hash="0" * 64).status_code == 409
    assert boss.get(f"feedback/{question['id']}/").json()["state"] == "open"
    assert boss.get(f"runs/{run['id']}/").json()["seq"] == run["seq"]


def test_looking_never_decides(boss, question):
    for _ in range(3):
        assert boss.get(f"feedback/{question['id']}/").json()["state"] == "open"
    assert boss.get(f"feedback/{question['id']}/answer/").status_code == 405


def test_who_may_see_may_not_therefore_answer(caller, question):
    viewer = caller("viewer")
    assert viewer.get(f"feedback/{question['id']}/").status_code == 200
    problem(answer(viewer, question), 403, "forbidden")


@pytest.mark.parametrize("body", [{}, {"decision": "maybe"}, {"decision": None}, []])
def test_a_malformed_answer_leaves_the_request_open(boss, question, body):
    assert boss.post(f"feedback/{question['id']}/answer/", body).status_code == 422
    assert boss.get(f"feedback/{question['id']}/").json()["state"] == "open"


def test_an_answer_that_does_not_fit_leaves_the_request_open(boss, question):
    refused = problem(answer(boss, question, data={"total": 4}), 422, "invalid_input")
    assert "may not be edited" in refused["detail"]
    assert boss.get(f"feedback/{question['id']}/").json()["state"] == "open"


def test_the_same_key_gives_the_first_answer_again(boss, question):
    body = {"decision": "approve"}
    path = f"feedback/{question['id']}/answer/"
    first, again = (boss.post(path, body, Idempotency_Key="click-1") for _ in range(2))
    assert (first.status_code, again.status_code) == (200, 200)
    assert first.json() == again.json()


def test_a_missing_request_is_not_found(boss):
    for missing in ("00000000-0000-4000-8000-000000000000", "nothing"):
        problem(boss.get(f"feedback/{missing}/"), 404, "not_found")


def test_closed_ones_are_listed_apart_from_open_ones(boss, published, question):
    boss.post("runs/", {"workflow": published["id"]})
    answer(boss, question)
    assert [found["id"] for found in boss.get("feedback/", state="closed").json()["results"]] == [question["id"]]
    assert len(boss.get("feedback/", state="all").json()["results"]) == 2
    assert "closed, all" in problem(boss.get("feedback/", state="over"), 422, "invalid_input")["detail"]
