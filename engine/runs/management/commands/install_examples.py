"""manage.py install_examples: the example workflows, published and ready to run."""

from __future__ import annotations

from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand
from django.utils.module_loading import import_string
from django.utils.text import slugify

from engine.access import SYSTEM, audit
from engine.runs import api
from engine.runs.models import WorkflowDefinition

DEFAULT = "graflow_site.demo.examples.EXAMPLES"


class Command(BaseCommand):
    help = "Install the example workflows that are not there yet. One that exists is left as people made it."

    def handle(self, *args: Any, **options: Any) -> None:
        documents: list[dict[str, Any]] = import_string(getattr(settings, "GRAFLOW_EXAMPLES", DEFAULT))
        there = set(WorkflowDefinition.objects.values_list("slug", flat=True))
        with audit.acting_via("command"):
            for document in documents:
                if slugify(document["name"]) not in there:
                    made = api.create_workflow(SYSTEM, name=document["name"], document=document)
                    api.publish(SYSTEM, made.id, note="Example")
                    self.stdout.write(f"Installed {made.name!r}.")
