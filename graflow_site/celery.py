"""The Celery application: `celery -A graflow_site.celery worker`. The wire, never the truth."""

from __future__ import annotations

import os
from typing import Any

from celery import Celery
from celery.signals import setup_logging, worker_process_init

from graflow_site.processes import end_with_parent

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "graflow_site.settings")

app = Celery("graflow")
app.config_from_object("django.conf:settings", namespace="CELERY")


@setup_logging.connect(dispatch_uid="graflow.logging")
def keep_logging(**_: Any) -> None:
    """Being connected is enough: Celery then leaves Django's logging as it is."""


@worker_process_init.connect(dispatch_uid="graflow.orphans")
def follow_the_worker(**_: Any) -> None:
    """A pool process must not go on with a body after its worker was killed: nobody would renew its lease."""
    end_with_parent()
