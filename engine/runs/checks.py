"""Mistakes of the settings that the engine would only notice at work."""

from __future__ import annotations

from typing import Any

from django.conf import settings
from django.core.checks import Error, register


@register()
def check_database(app_configs: Any, **_: Any) -> list[Error]:
    """SQLite must begin its transactions as writers: a reader that wants to write later fails at once when busy."""
    database = settings.DATABASES.get("default", {})
    if not str(database.get("ENGINE", "")).endswith("sqlite3"):
        return []
    mode = str(database.get("OPTIONS", {}).get("transaction_mode", "")).upper()
    if mode in ("IMMEDIATE", "EXCLUSIVE"):
        return []
    return [
        Error(
            "The SQLite database begins its transactions as readers.",
            hint='Set DATABASES["default"]["OPTIONS"]["transaction_mode"] = "IMMEDIATE".',
            id="engine.E001",
        )
    ]
