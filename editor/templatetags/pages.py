"""Tags and filters of the pages: icons, built assets, navigation, times in words."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any, Final

from django import template
from django.template.context import RequestContext
from django.urls import reverse
from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString, mark_safe
from django.utils.timezone import localtime
from django_vite.core.asset_loader import DjangoViteAssetLoader
from django_vite.core.exceptions import DjangoViteAssetNotFoundError, DjangoViteManifestError

from editor.icons import RUN_STATUS_ICONS, SHAPES, TASK_STATUS_ICONS
from editor.words import DECISION_WORDS, KIND_WORDS, REASON_WORDS, RUN_STATUS_WORDS, TASK_STATUS_WORDS, ago, span
from engine.access import policy
from engine.runs import api

register = template.Library()

THEME_COOKIE: Final = "graflow_theme"
SECTIONS: Final = {
    "home": ("home",),
    "workflows": ("workflows", "workflow-new", "workflow", "workflow-edit", "workflow-starts"),
    "runs": ("runs", "run"),
    "inbox": ("inbox", "inbox-item"),
    "monitor": ("monitor",),
}


@register.simple_tag(takes_context=True)
def theme_attribute(context: RequestContext) -> SafeString:
    """The theme a person chose, on the root element from the first byte; without a choice the system decides."""
    request = context.get("request")
    chosen = request.COOKIES.get(THEME_COOKIE, "") if request is not None else ""
    return format_html(' data-theme="{}"', chosen) if chosen in ("light", "dark") else SafeString("")


@register.simple_tag(takes_context=True)
def entry(context: RequestContext, path: str) -> SafeString:
    """Script and style elements of one frontend entry. A missing build leaves the page readable (`not_built`)."""
    try:
        # django-vite builds the elements from file names of the manifest that our own build wrote.
        return SafeString(DjangoViteAssetLoader.instance().generate_vite_asset(path))
    except (DjangoViteAssetNotFoundError, DjangoViteManifestError):
        context["frontend_missing"] = True
        return SafeString("")


@register.simple_tag(takes_context=True)
def not_built(context: RequestContext) -> SafeString:
    if not context.get("frontend_missing"):
        return SafeString("")
    return format_html(
        '<p class="notice notice--error" role="alert">{}</p>',
        "The interface has not been built, so this page is plain and nothing on it is live. "
        "Run “make run”, or “npm ci && npm run build” in editor/frontend, and restart the server.",
    )


@register.simple_tag
def icon(name: str, extra: str = "") -> SafeString:
    return format_html(
        '<svg class="icon {}" viewBox="0 0 24 24" aria-hidden="true" focusable="false">{}</svg>',
        extra,
        mark_safe(SHAPES[name]),  # noqa: S308  constant shapes of our own
    )


@register.simple_tag(takes_context=True)
def nav_link(context: RequestContext, name: str, label: str, icon_name: str) -> SafeString:
    request = context.get("request")
    if name == "monitor" and not policy.can(context["user"], "monitor.view"):
        return SafeString("")
    match = request.resolver_match if request is not None else None
    current = match is not None and match.url_name in SECTIONS[name]
    badge = inbox_badge(context) if name == "inbox" else ""
    return format_html(
        '<li><a href="{}"{}>{}<span>{}</span>{}</a></li>',
        reverse(name),
        mark_safe(' aria-current="page"') if current else "",
        icon(icon_name),
        label,
        badge,
    )


def inbox_badge(context: RequestContext) -> SafeString:
    request = context.get("request")
    user = getattr(request, "user", None)
    count = api.count_open_feedback(user) if user is not None and user.is_authenticated else 0
    return format_html(
        '<span class="count" data-testid="inbox-count" data-count="{}">{}</span>'
        '<span class="visually-hidden" data-inbox-spoken>{}</span>',
        count,
        count,
        " open requests" if count else "",
    )


@register.simple_tag
def run_status(status: str, reason: str | None = None) -> SafeString:
    """Icon and word for the status of a run."""
    return _status(status, RUN_STATUS_ICONS, RUN_STATUS_WORDS, reason_words(reason) if reason else None)


@register.simple_tag
def status_set() -> SafeString:
    """One chip per status, for scripts to clone: they may not write HTML of their own."""
    chips = format_html_join("", "{}", ((run_status(status),) for status in RUN_STATUS_WORDS))
    return format_html("<template data-status-set>{}</template>", chips)


@register.simple_tag
def task_status(status: str) -> SafeString:
    return _status(status, TASK_STATUS_ICONS, TASK_STATUS_WORDS, None)


def _status(status: str, icons: dict[str, str], words: dict[str, str], reason: str | None) -> SafeString:
    return format_html(
        '<span class="status" data-status="{}"{}>{}{}</span>',
        status,
        format_html(' title="{}"', reason) if reason else "",
        icon(icons.get(status, "circle-dashed")),
        words.get(status, status),
    )


@register.filter
def moment(value: Any) -> SafeString:
    """A time element: "3 minutes ago", the exact time as its title. The shell keeps the words fresh."""
    at = as_datetime(value)
    if at is None:
        return SafeString("—")
    return format_html(
        '<time datetime="{}" title="{}" data-ago>{}</time>',
        at.astimezone(UTC).isoformat(),
        localtime(at).strftime("%-d %B %Y, %H:%M:%S"),
        ago(at, datetime.now(UTC)),
    )


@register.simple_tag
def took(started: Any, ended: Any) -> SafeString:
    """How long something took; while it lasts the shell counts on."""
    first, last = as_datetime(started), as_datetime(ended)
    if first is None:
        return SafeString("—")
    seconds = ((last or datetime.now(UTC)) - first).total_seconds()
    since = "" if last else format_html(' data-since="{}"', first.astimezone(UTC).isoformat())
    return format_html('<span class="numeric"{}>{}</span>', since, span(seconds))


@register.filter
def seconds(value: float) -> str:
    return span(value)


@register.filter
def kind_words(kind: str) -> str:
    return KIND_WORDS.get(str(kind), str(kind))


@register.filter
def reason_words(reason: str) -> str:
    """Why a run ended: codes in words, sentences of people and failures as they are."""
    return REASON_WORDS.get(str(reason), str(reason))


@register.filter
def decision_words(decision: str) -> str:
    return DECISION_WORDS.get(str(decision), str(decision))


@register.filter
def excerpt(value: Any, length: int = 120) -> str:
    """One line of what a request is about."""
    text = value if isinstance(value, str) else _flat(value)
    line = " ".join(text.split())
    return line if len(line) <= length else f"{line[: length - 1]}…"


@register.filter
def pretty(value: Any) -> str:
    """A payload as a person reads it: text as it is, everything else as indented JSON."""
    return value if isinstance(value, str) else json.dumps(value, indent=2, ensure_ascii=False)


def _flat(value: Any) -> str:
    if isinstance(value, dict):
        return ", ".join(
            f"{key}: {_flat(inner)}" for key, inner in list(value.items())[:4] if inner not in ("", None, [], {})
        )
    if isinstance(value, list):
        return ", ".join(_flat(inner) for inner in value[:4])
    return "" if value is None else str(value)


@register.simple_tag
def hidden_fields(fields: dict[str, str]) -> SafeString:
    return format_html_join("", '<input type="hidden" name="{}" value="{}">', fields.items())


def as_datetime(value: Any) -> datetime | None:
    """`value` as an aware time: values of the engine bring datetimes, their JSON form brings text."""
    if isinstance(value, str) and value:
        value = datetime.fromisoformat(value.replace("Z", "+00:00"))
    if not isinstance(value, datetime):
        return None
    return value if value.tzinfo else value.replace(tzinfo=UTC)
