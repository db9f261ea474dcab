"""Rows of figures that only grow; `tally` says what they count."""

from __future__ import annotations

from typing import ClassVar

from django.db import models


class Total(models.Model):
    """A figure of the whole site."""

    name = models.CharField(max_length=40)
    label = models.CharField(max_length=40, default="", blank=True)
    value = models.FloatField(default=0.0)

    class Meta:
        constraints: ClassVar = [models.UniqueConstraint(fields=["name", "label"], name="engine_total_name")]

    def __str__(self) -> str:
        return f"{self.name} {self.label}: {self.value:g}"


class WorkflowTotal(models.Model):
    """A figure of one workflow."""

    workflow_path: ClassVar = "definition"

    definition = models.ForeignKey(
        "engine.WorkflowDefinition", on_delete=models.CASCADE, related_name="+", db_index=False
    )
    name = models.CharField(max_length=40)
    label = models.CharField(max_length=40, default="", blank=True)
    value = models.FloatField(default=0.0)

    class Meta:
        constraints: ClassVar = [
            models.UniqueConstraint(fields=["definition", "name", "label"], name="engine_workflow_total")
        ]

    def __str__(self) -> str:
        return f"{self.definition_id} {self.name} {self.label}: {self.value:g}"
