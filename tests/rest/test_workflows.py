from .calls import ASK, BROKEN, problem


def test_a_workflow_is_created_and_found_by_id_and_slug(boss):
    made = boss.post("workflows/", {"name": "Letters to Ann", "document": ASK})
    assert made.status_code == 201
    body = made.json()
    assert {"id", "name", "slug", "document", "draft_revision", "latest_version"} <= body.keys()
    assert body["name"] == "Letters to Ann"
    assert boss.get(f"workflows/{body['id']}/").json() == body
    assert boss.get(f"workflows/{body['slug']}/").json() == body


def test_a_draft_is_saved_on_top_of_the_revision_it_was_based_on(boss, published):
    before = boss.get(f"workflows/{published['id']}/")
    document = {**ASK, "description": "changed"}
    saved = boss.patch(f"workflows/{published['id']}/", {"document": document}, If_Match=before["ETag"])
    assert saved.status_code == 200
    assert saved.json()["document"]["description"] == "changed"
    assert saved.json()["draft_revision"] > before.json()["draft_revision"]


def test_a_stale_draft_is_refused_and_changes_nothing(boss, published):
    revision = str(boss.get(f"workflows/{published['id']}/").json()["draft_revision"])
    boss.patch(f"workflows/{published['id']}/", {"document": {**ASK, "description": "mine"}}, If_Match=revision)
    stale = boss.patch(f"workflows/{published['id']}/", {"document": {**ASK, "description": "late"}}, If_Match=revision)
    problem(stale, 412, "stale_draft")
    assert boss.get(f"workflows/{published['id']}/").json()["document"]["description"] == "mine"


def test_saving_without_a_revision_is_refused(boss, published):
    problem(boss.patch(f"workflows/{published['id']}/", {"document": ASK}), 428, "precondition_required")


def test_all_problems_of_a_document_come_at_once_with_places(boss):
    found = boss.post("workflows/validate/", {"document": BROKEN}).json()["problems"]
    assert len(found) >= 2
    assert all({"code", "message", "path"} <= one.keys() for one in found)
    assert boss.post("workflows/validate/", {"document": ASK}).json() == {"problems": []}


def test_a_broken_draft_is_not_published(boss):
    made = boss.post("workflows/", {"name": "Broken", "document": BROKEN}).json()
    refused = problem(boss.post(f"workflows/{made['id']}/versions/", {"note": ""}), 422, "definition_invalid")
    assert {error["path"] for error in refused["errors"]}
    assert boss.get(f"workflows/{made['id']}/versions/").json()["results"] == []


def test_versions_count_up_and_keep_their_document(boss, published):
    url = f"workflows/{published['id']}/"
    boss.patch(url, {"document": {**ASK, "description": "two"}}, If_Match=boss.get(url)["ETag"])
    assert boss.post(url + "versions/", {"note": "second"}).json()["number"] == 2
    assert [version["number"] for version in boss.get(url + "versions/").json()["results"]] == [2, 1]
    assert boss.get(url + "versions/1/").json()["document"].get("description", "") == ""
    problem(boss.get(url + "versions/3/"), 404, "not_found")


def test_export_and_import_go_round(boss, published):
    exported = boss.get(f"workflows/{published['id']}/export/", format="json")
    assert "attachment" in exported["Content-Disposition"]
    made = boss.post("workflows/import/", exported.json())
    assert made.status_code == 201
    again = boss.get(f"workflows/{made.json()['id']}/export/", format="json")
    assert again.json()["document"] == exported.json()["document"]
    assert made.json()["id"] != published["id"]


def test_an_archived_workflow_leaves_the_list(boss, published):
    assert boss.delete(f"workflows/{published['id']}/").status_code == 204
    assert published["id"] not in [found["id"] for found in boss.get("workflows/").json()["results"]]


def test_lists_are_paged_by_following_next(boss):
    for number in range(5):
        boss.post("workflows/", {"name": f"Workflow {number}", "document": ASK})
    answer, seen = boss.get("workflows/", limit=2).json(), []
    while True:
        seen += [found["id"] for found in answer["results"]]
        if answer["next"] is None:
            break
        answer = boss.get(answer["next"]).json()
    assert len(seen) == len(set(seen)) == 5


def test_a_page_has_at_most_200_rows(boss):
    assert boss.get("workflows/", limit=200).status_code == 200
    for wrong in (0, 201, "x", -1):
        problem(boss.get("workflows/", limit=wrong), 400, "invalid_parameter")
