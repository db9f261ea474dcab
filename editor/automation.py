"""What a workflow's page lets operators say about when it starts by itself: schedules and triggers, without scripts."""

from __future__ import annotations

from collections.abc import Callable

from django import forms
from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.urls import reverse
from django.views.decorators.http import require_http_methods

from editor.forms import ScheduleForm, TriggerForm
from editor.views import page, workflow_page
from engine import EngineError
from engine.runs import api
from engine.runs.data import Workflow

PLACE = "#starts"


@require_http_methods(["GET", "HEAD", "POST"])
@page
def workflow_starts(request: HttpRequest, workflow: str) -> HttpResponse:
    """Carry out one button or form of the section; `do` says which."""
    found = api.get_workflow(request.user, workflow)
    do = request.POST.get("do", "")
    if do == "add-schedule":
        return _add_schedule(request, found)
    if do == "add-trigger":
        return _add_trigger(request, found)
    if do in _CHANGES:
        said = _CHANGES[do](request, found.id, request.POST.get("id", ""))
        messages.success(request, said)
    return _back(found)


def _add_schedule(request: HttpRequest, found: Workflow) -> HttpResponse:
    form = ScheduleForm(request.POST)
    if form.is_valid():
        try:
            api.create_schedule(request.user, found.id, **form.cleaned_data)
        except EngineError as refused:
            _blame(form, refused)
        else:
            messages.success(request, "The schedule was added.")
            return _back(found)
    return workflow_page(request, found, schedule_form=form, status=422)


def _add_trigger(request: HttpRequest, found: Workflow) -> HttpResponse:
    """The answer itself shows the secret: it is the only place where it ever appears."""
    form = TriggerForm(request.POST)
    if form.is_valid():
        try:
            made = api.create_trigger(request.user, found.id, **form.cleaned_data)
        except EngineError as refused:
            _blame(form, refused)
        else:
            address = request.build_absolute_uri(made.path)
            return workflow_page(request, found, new_trigger=made, trigger_address=address)
    return workflow_page(request, found, trigger_form=form, status=422)


def _blame(form: forms.Form, refused: EngineError) -> None:
    """Show a refusal at the field it is about."""
    if getattr(refused, "status", 422) not in (409, 422):
        raise refused
    named = [error["path"] for error in getattr(refused, "details", {}).get("errors", ())]
    field = next((path for path in named if path in form.fields), None)
    form.add_error(field, str(refused))


def _back(found: Workflow) -> HttpResponse:
    return redirect(reverse("workflow", args=[found.id]) + PLACE)


def _schedule(enabled: bool) -> Callable[[HttpRequest, str, str], str]:
    def change(request: HttpRequest, workflow: str, item: str) -> str:
        api.change_schedule(request.user, workflow, item, enabled=enabled)
        return f"The schedule is {'on' if enabled else 'off'}."

    return change


def _trigger(enabled: bool) -> Callable[[HttpRequest, str, str], str]:
    def change(request: HttpRequest, workflow: str, item: str) -> str:
        api.change_trigger(request.user, workflow, item, enabled=enabled)
        return f"The trigger is {'on' if enabled else 'off'}."

    return change


def _delete_schedule(request: HttpRequest, workflow: str, item: str) -> str:
    api.delete_schedule(request.user, workflow, item)
    return "The schedule was deleted. Its runs stay."


def _delete_trigger(request: HttpRequest, workflow: str, item: str) -> str:
    api.delete_trigger(request.user, workflow, item)
    return "The trigger was deleted. Its address starts nothing any more."


_CHANGES: dict[str, Callable[[HttpRequest, str, str], str]] = {
    "schedule-on": _schedule(True),
    "schedule-off": _schedule(False),
    "schedule-delete": _delete_schedule,
    "trigger-on": _trigger(True),
    "trigger-off": _trigger(False),
    "trigger-delete": _delete_trigger,
}
