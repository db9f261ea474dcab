"""Which message led a worker to an attempt, and a quick way to what waits in one run."""

from __future__ import annotations

from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("engine", "0003_attempt_held")]
    operations = [
        migrations.AddField(
            model_name="attempt",
            name="job",
            field=models.BigIntegerField(null=True, help_text="The attempt whose message brought the worker here."),
        ),
        migrations.AddIndex(
            model_name="attempt",
            index=models.Index(
                fields=["run", "priority", "id"], name="engine_attempt_next", condition=models.Q(state="dispatched")
            ),
        ),
    ]
