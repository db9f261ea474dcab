"""Rows for what a run asks of others: runs below it, mails and calls of webhooks.

Written in the transaction of the step that asks, carried out after it; see `subruns` and `outbox`.
"""

from __future__ import annotations

from typing import ClassVar

from django.db import models
from django.db.models import Q

from engine.runs.fields import JsonText

CASCADE, SET_NULL = models.CASCADE, models.SET_NULL


class ChildRun(models.Model):
    """A step of one run that waits for another run: asked for, started, ended and reported, each exactly once.

    Written in the transactions of both runs and in that which starts the child; whoever has committed one follows
    it up, else the engine process does after `follow_after`.
    """

    ASKED, STARTED, ENDED, REPORTED = "asked", "started", "ended", "reported"
    CANCELLED, STOPPING, STOPPED = "cancelled", "stopping", "stopped"
    TO_FOLLOW: ClassVar = (ASKED, ENDED, STOPPING)
    workflow_path: ClassVar = "child__definition"

    parent = models.ForeignKey("engine.Run", on_delete=CASCADE, related_name="child_steps", db_index=False)
    task = models.ForeignKey("engine.RunTask", on_delete=CASCADE, related_name="+", db_index=False)
    key = models.CharField(max_length=200)
    iteration = models.PositiveIntegerField()
    attempt = models.PositiveIntegerField()
    workflow = models.CharField(max_length=120)
    version = models.PositiveIntegerField(null=True)
    inputs = JsonText()
    child = models.OneToOneField("engine.Run", null=True, on_delete=SET_NULL, related_name="parent_step")
    state = models.CharField(max_length=10, default=ASKED)
    error = models.TextField(null=True, help_text="Why it could not be started.")
    follow_after = models.DateTimeField()

    class Meta:
        constraints: ClassVar = [
            models.UniqueConstraint(fields=["task", "iteration", "attempt"], name="engine_child_step"),
        ]
        indexes: ClassVar = [
            models.Index(fields=["parent", "id"], name="engine_child_of_run"),
            models.Index(
                fields=["follow_after"],
                name="engine_child_to_follow",
                condition=Q(state__in=["asked", "ended", "stopping"]),
            ),
        ]

    def __str__(self) -> str:
        return f"{self.workflow} for {self.key}: {self.state}"


class OutboxItem(models.Model):
    """A mail or a call of a webhook that a run has asked for, in the transaction of the step that did.

    `dedupe_key` is the same whenever the same step tells the same recipient in the same iteration.
    """

    MAIL, WEBHOOK = "mail", "webhook"
    workflow_path: ClassVar = "run__definition"
    WAITING, SENT, FAILED = "waiting", "sent", "failed"

    run = models.ForeignKey("engine.Run", on_delete=CASCADE, related_name="outbox")
    key = models.CharField(max_length=200)
    iteration = models.PositiveIntegerField()
    kind = models.CharField(max_length=10)
    recipient = models.CharField(max_length=320, help_text="A mail address, or the name of a webhook.")
    subject = models.CharField(max_length=200)
    message = models.TextField()
    dedupe_key = models.CharField(max_length=64, unique=True)
    state = models.CharField(max_length=10, default=WAITING)
    tries = models.PositiveSmallIntegerField(default=0)
    next_try_at = models.DateTimeField()
    sent_at = models.DateTimeField(null=True)
    error = models.TextField(null=True)
    created_at = models.DateTimeField()

    class Meta:
        indexes: ClassVar = [
            models.Index(fields=["next_try_at"], name="engine_outbox_due", condition=Q(state="waiting")),
            models.Index(fields=["-id"], name="engine_outbox_unsent", condition=Q(state="failed")),
        ]

    def __str__(self) -> str:
        return f"{self.kind} to {self.recipient}: {self.state}"
