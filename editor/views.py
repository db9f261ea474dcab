"""The pages. Each view reads the request, calls `engine.runs.api` and renders; rights are checked behind that door."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import Any, Concatenate, ParamSpec
from urllib.parse import urlencode
from uuid import UUID

from django.conf import settings
from django.contrib import messages
from django.http import HttpRequest, HttpResponse, QueryDict
from django.shortcuts import redirect, render
from django.urls import reverse
from django.views.decorators.cache import never_cache
from django.views.decorators.csrf import ensure_csrf_cookie
from django.views.decorators.http import require_http_methods, require_POST, require_safe

from editor.forms import (
    ACTIVE,
    DecisionForm,
    NewWorkflowForm,
    RunFilterForm,
    ScheduleForm,
    TriggerForm,
    defaults_of,
    input_fields,
    read_inputs,
)
from editor.starters import starters
from engine import EngineError
from engine.access import policy, rates
from engine.core.errors import InvalidInput, LimitExceeded
from engine.runs import api
from engine.runs.data import Workflow

P = ParamSpec("P")
View = Callable[Concatenate[HttpRequest, P], HttpResponse]

LIST_ROWS = 50
HOME_ROWS = 5
FEW_RUNS = 5
INBOX_VIEWS: dict[str, dict[str, str]] = {
    "mine": {"state": "open", "assigned": "me"},
    "all": {"state": "open"},
    "done": {"state": "closed"},
}
ACTIVE_STATUSES = "pending,running,waiting,paused,stopping"
TITLES = {
    403: "You may not do this",
    404: "There is nothing here",
    409: "Somebody was quicker",
    410: "This is closed",
    422: "Something does not fit",
    429: "A little slower, please",
}


def page(view: View[P]) -> View[P]:
    """A page for people: what the engine refuses is shown as a page that says why, with its status."""

    @never_cache
    @ensure_csrf_cookie
    @wraps(view)
    def answered(request: HttpRequest, *args: P.args, **kwargs: P.kwargs) -> HttpResponse:
        try:
            return view(request, *args, **kwargs)
        except EngineError as refused:
            return refusal(request, refused)

    return answered


def refusal(request: HttpRequest, refused: EngineError) -> HttpResponse:
    status = getattr(refused, "status", 400)
    context = {"status": status, "title": TITLES.get(status, "That did not work"), "detail": str(refused)}
    answer = render(request, "refused.html", context, status=status)
    if isinstance(refused, LimitExceeded):
        answer["Retry-After"] = str(refused.details.get("retry_after", 1))
    return answer


@require_safe
@page
def home(request: HttpRequest) -> HttpResponse:
    recent = api.list_runs(request.user, limit=LIST_ROWS).results
    few = len(recent) < FEW_RUNS
    runnable = [found for found in api.list_workflows(request.user).results if found.latest_version] if few else []
    context = {
        "first_steps": sorted(runnable, key=lambda found: found.created_at)[:6],
        "needs_me": api.list_feedback(request.user, state="open", assigned="me", limit=HOME_ROWS).results,
        "active": _first(recent, "pending", "running", "waiting", "paused", "stopping"),
        "failed": _first(recent, "failed", "rejected"),
        "finished": _first(recent, "succeeded", "stopped"),
        "known_runs": " ".join(run.id for run in recent),
        **_rights(request),
    }
    return render(request, "home.html", context)


@require_safe
@page
def workflows(request: HttpRequest) -> HttpResponse:
    q, cursor = request.GET.get("q", "").strip()[:100], request.GET.get("cursor") or None
    found = api.list_workflows(request.user, q=q, limit=LIST_ROWS, cursor=cursor)
    context = {"workflows": found.results, "q": q, **_pager(request, found.next_cursor), **_rights(request)}
    return render(request, "workflows.html", context)


@require_http_methods(["GET", "HEAD", "POST"])
@page
def workflow_new(request: HttpRequest) -> HttpResponse:
    policy.require(request.user, "workflow.edit")
    available = starters(api.list_workflows(request.user, limit=12).results)
    context: dict[str, Any] = {"templates": available, "chosen": request.GET.get("template") or available[0].key}
    if request.method != "POST":
        return render(request, "workflow_new.html", context)
    form = NewWorkflowForm(request.POST)
    context |= {"name": request.POST.get("name", ""), "chosen": request.POST.get("template") or context["chosen"]}
    if not form.is_valid():
        context["name_error"] = " ".join(str(error) for error in form.errors.get("name", ["This does not fit."]))
        return render(request, "workflow_new.html", context, status=422)
    chosen = next((starter for starter in available if starter.key == context["chosen"]), available[0])
    name = form.cleaned_data["name"]
    try:
        made = api.create_workflow(request.user, name=name, document=chosen.document | {"name": name})
    except EngineError as refused:
        context |= {"refusal": str(refused), "problems": getattr(refused, "problems", None) or [{"message": ""}]}
        return render(request, "workflow_new.html", context, status=getattr(refused, "status", 422))
    return redirect("workflow-edit", workflow=made.id)


@require_safe
@page
def workflow(request: HttpRequest, workflow: str) -> HttpResponse:
    return workflow_page(request, api.get_workflow(request.user, workflow))


def workflow_page(request: HttpRequest, found: Workflow, *, status: int = 200, **more: Any) -> HttpResponse:
    """The page of one workflow; `more` is what its forms have to say."""
    versions = api.list_versions(request.user, found.id, limit=20).results if found.latest_version else []
    context = {
        "workflow": found,
        "versions": versions,
        "runs": api.list_runs(request.user, workflow=found.id, limit=20).results,
        "has_inputs": bool(_inputs_schema(found.document).get("properties")),
        "page_data": {"document": versions[0].document if versions else found.document},
        "schedules": api.list_schedules(request.user, found.id),
        "triggers": api.list_triggers(request.user, found.id),
        "schedule_form": ScheduleForm(initial={"inputs": defaults_of(_inputs_schema(found.document)) or {}}),
        "trigger_form": TriggerForm(),
        "can_automate": policy.can(request.user, "automation.edit"),
        "site_zone": settings.TIME_ZONE,
        **_rights(request),
        **more,
    }
    return render(request, "workflow.html", context, status=status)


@require_safe
@page
def workflow_edit(request: HttpRequest, workflow: str) -> HttpResponse:
    found = api.get_workflow(request.user, workflow)
    rights = _rights(request)
    data = {
        "workflow": found.as_dict(),
        "can": {"edit": rights["can_edit"], "publish": rights["can_publish"], "run": rights["can_run"]},
        "urls": {
            "workflow": reverse("workflow", args=[found.id]),
            "workflows": reverse("workflows"),
            "run": reverse("run", args=[UUID(int=0)]).replace(str(UUID(int=0)), "{id}"),
        },
    }
    return render(request, "workflow_edit.html", {"workflow": found, "page_data": data, **rights})


@require_http_methods(["GET", "HEAD", "POST"])
@page
def workflow_run(request: HttpRequest, workflow: str) -> HttpResponse:
    """Start a run: with the defaults when posted from a button, else with what the form of the inputs says."""
    found = api.get_workflow(request.user, workflow)
    if found.latest_version is None:
        messages.error(request, "This workflow has no published version yet. Publish the draft, then run it.")
        return redirect("workflow", workflow=found.id)
    schema = _inputs_schema(api.get_version(request.user, found.id, found.latest_version).document)
    inputs: dict[str, Any] | None = None
    errors: dict[str, str] = {}
    asked = "asked" in request.POST
    if request.method == "POST":
        if asked:
            inputs, errors = read_inputs(schema, request.POST)
        else:
            inputs = defaults_of(schema)
    refusal: InvalidInput | LimitExceeded | None = None
    if inputs is not None and not errors:
        try:
            return redirect("run", run=_started(request, found.id, inputs))
        except (InvalidInput, LimitExceeded) as refused:  # what was filled in must not have to be typed again
            refusal = refused
    given = request.POST.dict() if asked else None
    fields = [{**field, "error": errors.get(field["name"], "")} for field in input_fields(schema, given)]
    context = {"workflow": found, "fields": fields, "run_mode": run_mode(request), "problem": refusal}
    status = refusal.status if refusal else 422 if errors else 200
    answer = render(request, "workflow_run.html", context, status=status)
    if isinstance(refusal, LimitExceeded):
        answer["Retry-After"] = str(refusal.details.get("retry_after", 1))
    return answer


def _started(request: HttpRequest, workflow: str, inputs: dict[str, Any]) -> str:
    if (wait := rates.seconds_to_wait("start", f"user:{request.user.pk}")) is not None:
        raise LimitExceeded("So many runs at once are more than one person may start.", retry_after=int(wait) + 1)
    return api.start(request.user, workflow=workflow, inputs=inputs, mode=run_mode(request) or "live")


@require_safe
@page
def runs(request: HttpRequest) -> HttpResponse:
    form = RunFilterForm(request.GET)
    found = _runs_page(request, form.filters(), request.GET.get("cursor") or None)
    context = {
        "runs": found.results,
        "form": form,
        "is_filtered": any(form.filters().values()),
        "workflows": api.list_workflows(request.user, limit=100).results,
        **_pager(request, found.next_cursor),
        **_rights(request),
    }
    return render(request, "runs.html", context)


def _runs_page(request: HttpRequest, filters: dict[str, Any], cursor: str | None) -> Any:
    if filters["status"] == ACTIVE:
        filters = filters | {"status": ACTIVE_STATUSES}
    return api.list_runs(request.user, **filters, limit=LIST_ROWS, cursor=cursor)


@require_safe
@page
def run(request: HttpRequest, run: UUID) -> HttpResponse:
    found = api.get_run(request.user, str(run))
    own_test = found.mode == "test" and policy.can(request.user, "run.start_test")
    can = {
        "control": own_test or policy.can(request.user, "run.control"),
        "run": own_test or policy.can(request.user, "run.start"),
        "answer": policy.can(request.user, "feedback.answer"),
    }
    return render(request, "run.html", {"run": found, "page_data": {"run": found.as_dict(), "can": can}})


@require_http_methods(["GET", "HEAD", "POST"])
@page
def inbox(request: HttpRequest, feedback: UUID | None = None) -> HttpResponse:
    """The inbox, with one item open when the address names it. GET shows and never decides."""
    if request.method == "POST":
        return _decide(request, feedback)
    selected = api.get_feedback(request.user, str(feedback)) if feedback else None
    return _inbox_page(request, selected)


def _inbox_page(request: HttpRequest, selected: Any, *, problem: str = "", status: int = 200) -> HttpResponse:
    view = request.GET.get("view", "")
    view = view if view in INBOX_VIEWS else "mine"
    items = api.list_feedback(request.user, **INBOX_VIEWS[view], limit=LIST_ROWS).results
    can = {"answer": policy.can(request.user, "feedback.answer")}
    data: dict[str, Any] = {
        "items": [item.as_dict() for item in items],
        "selected": selected.as_dict() if selected else None,
        "can": can,
        "view": view,
    }
    context = {
        "items": items,
        "selected": selected,
        "view": view,
        "can_answer": can["answer"],
        "problem": problem,
        "page_data": data,
    }
    return render(request, "inbox.html", context, status=status)


def _decide(request: HttpRequest, feedback: UUID | None) -> HttpResponse:
    """The way without scripts: one form, one decision, and on to the next item."""
    if feedback is None:
        return redirect("inbox")
    item = api.get_feedback(request.user, str(feedback))
    form = DecisionForm(request.POST)
    if not form.is_valid():
        return _inbox_page(request, item, problem="Choose what to decide.", status=422)
    given = form.cleaned_data
    value: Any = request.POST.getlist("value") if item.kind == "multi_choice" else given["value"]
    try:
        api.answer_feedback(
            request.user,
            item.id,
            decision=given["decision"],
            value=value if given["decision"] == "answer" else None,
            reason=given["reason"] or None,
            payload_hash=given["payload_hash"] or None,
            via="web",
        )
    except EngineError as refused:
        newest = api.get_feedback(request.user, item.id)
        return _inbox_page(request, newest, problem=str(refused), status=getattr(refused, "status", 400))
    messages.success(request, "Your decision was taken.")
    return redirect("inbox")


@require_safe
@page
def monitor(request: HttpRequest) -> HttpResponse:
    metrics = api.metrics(request.user)
    unsent, can_control = api.list_unsent(request.user), policy.can(request.user, "run.control")
    shown = {"metrics": metrics, "page_data": {"metrics": metrics}, "unsent": unsent, "can_control": can_control}
    return render(request, "monitor.html", shown)


@require_POST
@page
def send_again(request: HttpRequest, unsent: int) -> HttpResponse:
    api.send_again(request.user, unsent)
    messages.success(request, "The message will be sent again within seconds.")
    return redirect("monitor")


def _first(found: list[Any], *statuses: str) -> list[Any]:
    return [run for run in found if run.status in statuses][:HOME_ROWS]


def run_mode(request: HttpRequest) -> str | None:
    """What this person's runs are: live, only tests, or none at all."""
    if policy.can(request.user, "run.start"):
        return "live"
    return "test" if policy.can(request.user, "run.start_test") else None


def _rights(request: HttpRequest) -> dict[str, Any]:
    return {
        "can_edit": policy.can(request.user, "workflow.edit"),
        "can_publish": policy.can(request.user, "workflow.publish"),
        "can_run": run_mode(request) is not None,
        "run_mode": run_mode(request),
        "can_answer": policy.can(request.user, "feedback.answer"),
    }


def _inputs_schema(document: dict[str, Any]) -> dict[str, Any]:
    schema = document.get("inputs")
    return schema if isinstance(schema, dict) else {}


def _pager(request: HttpRequest, next_cursor: str | None) -> dict[str, Any]:
    """Links of a list: its start, and what follows. Filters stay."""
    kept: QueryDict = request.GET.copy()
    on_later_page = bool(kept.pop("cursor", None))
    start = f"{request.path}?{kept.urlencode()}" if kept else request.path
    following = f"{request.path}?{urlencode([*kept.items(), ('cursor', next_cursor)])}" if next_cursor else None
    return {"next_page": following, "first_page": start, "on_later_page": on_later_page}
