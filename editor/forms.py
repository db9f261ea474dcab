"""What people send from the pages: names, filters, inputs of a run, decisions, what starts by itself."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import UTC, date, datetime, time, timedelta
from typing import Any

from django import forms

from editor.words import RUN_STATUS_WORDS

ACTIVE = "active"


class NewWorkflowForm(forms.Form):
    name = forms.CharField(max_length=100, strip=True, error_messages={"required": "Give the workflow a name."})
    template = forms.CharField(max_length=100, required=False)


class RunFilterForm(forms.Form):
    """Filters of the runs list. Days are whole days, both ends included."""

    status = forms.ChoiceField(
        required=False, choices=[("", "Any status"), (ACTIVE, "Active"), *RUN_STATUS_WORDS.items()]
    )
    workflow = forms.CharField(required=False, max_length=100)
    started_after = forms.DateField(required=False, label="From", widget=forms.DateInput(attrs={"type": "date"}))
    started_before = forms.DateField(required=False, label="To", widget=forms.DateInput(attrs={"type": "date"}))
    q = forms.CharField(required=False, max_length=100, label="Search")

    def filters(self) -> dict[str, Any]:
        """Arguments for `list_runs`; what is not valid is left out and shown at its field."""
        self.is_valid()
        given = self.cleaned_data
        before = given.get("started_before")
        return {
            "status": given.get("status") or None,
            "workflow": given.get("workflow") or None,
            "started_after": _midnight(given.get("started_after")),
            "started_before": _midnight(before + timedelta(days=1)) if before else None,
            "q": given.get("q", ""),
        }


class DecisionForm(forms.Form):
    """A decision sent without the help of scripts. Lengths are the engine's own."""

    decision = forms.ChoiceField(choices=[(name, name) for name in ("approve", "reject", "skip", "answer")])
    reason = forms.CharField(required=False, max_length=10_000)
    value = forms.CharField(required=False, max_length=64_000, strip=False)
    payload_hash = forms.CharField(required=False, max_length=128)


class ScheduleForm(forms.Form):
    """Lengths and words are the engine's own, which checks what the values mean."""

    cron = forms.CharField(max_length=100, error_messages={"required": "Say when, for example 30 7 * * MON-FRI."})
    zone = forms.CharField(max_length=64, error_messages={"required": "Name a time zone, for example Europe/Berlin."})
    missed = forms.ChoiceField(choices=[("once", "Start once, late"), ("skip", "Skip them")])
    inputs = forms.JSONField(
        required=False, error_messages={"invalid": 'Inputs are a JSON object, for example {"topic": "loops"}.'}
    )

    def clean_inputs(self) -> dict[str, Any]:
        given = self.cleaned_data["inputs"]
        if given is None:
            return {}
        if not isinstance(given, dict):
            raise forms.ValidationError(self.fields["inputs"].error_messages["invalid"])
        return given


class TriggerForm(forms.Form):
    name = forms.CharField(max_length=100, error_messages={"required": "Name the system that will call."})
    signed = forms.BooleanField(required=False)


def _midnight(day: date | None) -> datetime | None:
    return datetime.combine(day, time.min, tzinfo=UTC) if day else None


def input_fields(schema: dict[str, Any], given: dict[str, Any] | None = None) -> list[dict[str, Any]]:
    """What the page of a run's inputs draws: one entry per property of the definition's input schema."""
    required = set(schema.get("required", []))
    fields = []
    for name, prop in schema.get("properties", {}).items():
        value = given.get(name, "") if given is not None else prop.get("default", "")
        kind = prop.get("type") if isinstance(prop.get("type"), str) else "json"
        if kind not in ("string", "integer", "number", "boolean"):
            kind = "json"
            value = value if given is not None or value == "" else json.dumps(value)
        fields.append(
            {
                "name": name,
                "label": prop.get("title") or name.replace("_", " ").capitalize(),
                "help": prop.get("description", ""),
                "kind": kind,
                "options": prop.get("enum"),
                "long": prop.get("format") == "textarea" or prop.get("maxLength", 0) > 200,
                "required": name in required,
                "value": value,
            }
        )
    return fields


def read_inputs(schema: dict[str, Any], post: Any) -> tuple[dict[str, Any], dict[str, str]]:
    """Typed inputs from a posted form, and what is wrong by field name. Empty fields are left out."""
    inputs: dict[str, Any] = {}
    errors: dict[str, str] = {}
    for field in input_fields(schema):
        name, raw = field["name"], post.get(field["name"], "")
        if field["kind"] == "boolean":
            inputs[name] = raw == "on"
        elif raw == "":
            if field["required"]:
                errors[name] = "This is needed to start a run."
        else:
            try:
                inputs[name] = _READERS[field["kind"]](raw)
            except ValueError:
                errors[name] = f"This must be {_MEANS[field['kind']]}."
    return inputs, errors


_READERS: dict[str, Callable[[str], Any]] = {"string": str, "integer": int, "number": float, "json": json.loads}
_MEANS = {"string": "text", "integer": "a whole number", "number": "a number", "json": "JSON"}


def defaults_of(schema: dict[str, Any]) -> dict[str, Any] | None:
    """The inputs a run starts with when nobody is asked; None when a required one has no default."""
    properties = schema.get("properties", {})
    values = {name: prop["default"] for name, prop in properties.items() if "default" in prop}
    return values if set(schema.get("required", [])) <= values.keys() else None
