"""The OpenAPI document: complete, without warnings, and true to what the API gives."""

from __future__ import annotations

from typing import Any

import jsonschema
import pytest
from drf_spectacular.drainage import GENERATOR_STATS
from drf_spectacular.generators import SchemaGenerator
from drf_spectacular.validation import validate_schema

from engine.rest import urls

from .calls import API


@pytest.fixture(scope="module")
def schema() -> dict[str, Any]:
    with GENERATOR_STATS.silence():
        GENERATOR_STATS.reset()
        made: dict[str, Any] = SchemaGenerator(urlconf=None).get_schema(request=None, public=True)
        assert not GENERATOR_STATS._warn_cache, dict(GENERATOR_STATS._warn_cache)
        assert not GENERATOR_STATS._error_cache, dict(GENERATOR_STATS._error_cache)
    return made


def test_the_schema_is_valid_openapi_3_1(schema):
    validate_schema(schema)
    assert schema["openapi"].startswith("3.1")


def test_every_address_of_the_api_is_in_it(schema):
    described = {path.removeprefix("/api/v1/") for path in schema["paths"]}
    served = {
        str(entry.pattern).replace("<slug:", "{").replace("<str:", "{").replace("<int:", "{").replace(">", "}")
        for entry in urls.urlpatterns
    }
    assert served - described == {"schema/", "docs/"}


def test_every_call_says_in_a_sentence_of_its_own_what_it_does(schema):
    calls = [call for path in schema["paths"].values() for call in path.values()]
    said = [call.get("summary", call["operationId"]) for call in calls]
    assert all(text.endswith(".") for text in said), said
    assert len(set(said)) == len(said)
    assert not [call["operationId"] for call in calls if "engine." in call.get("description", "")]
    assert all(answer["description"] for call in calls for answer in call["responses"].values())


def test_a_body_has_no_other_keys_than_the_named_ones(schema):
    shapes = schema["components"]["schemas"]
    assert shapes["RunStartRequest"]["additionalProperties"] is False
    assert "additionalProperties" not in shapes["RunShape"]


def test_the_schema_is_served_to_who_is_signed_in(boss):
    assert boss.get("schema/").status_code == 200
    assert boss.get("schema/")["Content-Type"].startswith("application/vnd.oai.openapi")


def test_the_schema_of_definitions_is_served(boss, published):
    schema = boss.get("definition-schema/").json()
    jsonschema.validate(published["document"], schema)
    assert not jsonschema.Draft202012Validator(schema).is_valid({"schema": "graflow/1", "tasks": []})


@pytest.mark.parametrize(
    ("path", "described"),
    [
        ("workflows/", "/api/v1/workflows/"),
        ("workflows/{workflow}/", "/api/v1/workflows/{workflow}/"),
        ("workflows/{workflow}/versions/", "/api/v1/workflows/{workflow}/versions/"),
        ("workflows/{workflow}/status/", "/api/v1/workflows/{workflow}/status/"),
        ("runs/", "/api/v1/runs/"),
        ("runs/{run}/", "/api/v1/runs/{run}/"),
        ("runs/{run}/status/", "/api/v1/runs/{run}/status/"),
        ("runs/{run}/events/", "/api/v1/runs/{run}/events/"),
        ("runs/{run}/tasks/prepare/", "/api/v1/runs/{run}/tasks/{task_id}/"),
        ("feedback/", "/api/v1/feedback/"),
        ("feedback/{feedback}/", "/api/v1/feedback/{feedback}/"),
        ("tasks/", "/api/v1/tasks/"),
        ("metrics/", "/api/v1/metrics/"),
        ("audit/", "/api/v1/audit/"),
        ("unsent/", "/api/v1/unsent/"),
    ],
)
def test_answers_have_the_described_shape(schema, boss, published, run, question, path, described):
    answer = boss.get(path.format(workflow=published["id"], run=run["id"], feedback=question["id"])).json()
    shape = schema["paths"][described]["get"]["responses"]["200"]["content"]["application/json"]["schema"]
    jsonschema.Draft202012Validator({**shape, "components": schema["components"]}).validate(answer)
    assert described.startswith(API)
