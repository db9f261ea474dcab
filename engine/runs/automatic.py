"""Rows that start runs without a person at hand. What they mean is in `schedules` and `triggers`."""

from __future__ import annotations

import uuid
from typing import ClassVar

from django.conf import settings
from django.db import models
from django.db.models import Q

from engine.runs.fields import JsonText

CASCADE, SET_NULL = models.CASCADE, models.SET_NULL


class WorkflowSchedule(models.Model):
    """A workflow that starts by the clock. `next_at` (UTC) is the guard: whoever moves it on starts the run."""

    SKIP, ONCE = "skip", "once"

    workflow_path: ClassVar = "definition"

    public_id = models.UUIDField(default=uuid.uuid4, unique=True, editable=False)
    definition = models.ForeignKey("engine.WorkflowDefinition", on_delete=CASCADE, related_name="schedules")
    cron = models.CharField(max_length=100)
    zone = models.CharField(max_length=64)
    inputs = JsonText()
    enabled = models.BooleanField(default=True)
    missed = models.CharField(max_length=4, default=ONCE, help_text="What happens to times the engine slept through.")
    next_at = models.DateTimeField(null=True)
    last_at = models.DateTimeField(null=True)
    last_run = models.ForeignKey("engine.Run", null=True, on_delete=SET_NULL, related_name="+")
    problem = models.TextField(default="", blank=True, help_text="Why the newest start did not succeed.")
    created_by = models.ForeignKey(settings.AUTH_USER_MODEL, null=True, on_delete=SET_NULL, related_name="+")
    created_at = models.DateTimeField()

    class Meta:
        ordering: ClassVar = ["id"]
        indexes: ClassVar = [models.Index(fields=["next_at"], name="engine_schedule_due", condition=Q(enabled=True))]

    def __str__(self) -> str:
        return f"{self.cron} ({self.zone})"


class WorkflowTrigger(models.Model):
    """An address that starts a workflow. Its secret is shown once: kept as a hash, or, where signatures are to be
    computed with it, sealed.
    """

    workflow_path: ClassVar = "definition"

    public_id = models.UUIDField(default=uuid.uuid4, unique=True, editable=False)
    definition = models.ForeignKey("engine.WorkflowDefinition", on_delete=CASCADE, related_name="triggers")
    name = models.CharField(max_length=100)
    signed = models.BooleanField(default=False)
    prefix = models.CharField(max_length=12, help_text="The first characters of the secret, to recognise it by.")
    digest = models.CharField(max_length=64)
    sealed = models.TextField(default="", blank=True)
    enabled = models.BooleanField(default=True)
    last_used_at = models.DateTimeField(null=True)
    created_by = models.ForeignKey(settings.AUTH_USER_MODEL, null=True, on_delete=SET_NULL, related_name="+")
    created_at = models.DateTimeField()

    class Meta:
        ordering: ClassVar = ["id"]

    def __str__(self) -> str:
        return f"{self.name} ({self.prefix}…)"
