"""Adds up, by workflow, what runs did that are in the site's totals already, as far as their attempts are still there."""

from collections import defaultdict

from django.db import migrations
from django.db.models import Count, DurationField, ExpressionWrapper, F, Sum

OVER = ('ok', 'error', 'lost', 'released', 'suspended', 'cancelled')


def fill(apps, schema_editor):
    Run, Attempt = apps.get_model('engine', 'Run'), apps.get_model('engine', 'Attempt')
    WorkflowTotal = apps.get_model('engine', 'WorkflowTotal')
    sums = defaultdict(float)
    runs = Run.objects.filter(counted=True).order_by().values_list('definition', 'status')
    for definition, status, count in runs.annotate(n=Count('pk')):
        sums[definition, 'runs', status] += count
    took = ExpressionWrapper(F('ended_at') - F('started_at'), output_field=DurationField())
    over = Attempt.objects.filter(run__counted=True, started_at__isnull=False, state__in=OVER)
    rows = over.order_by().values_list('run__definition', 'state').annotate(n=Count('pk'), took=Sum(took))
    for definition, state, count, seconds in rows:
        sums[definition, 'executions', state] += count
        sums[definition, 'execution_seconds', state] += seconds.total_seconds() if seconds else 0.0
    WorkflowTotal.objects.bulk_create(
        WorkflowTotal(definition_id=definition, name=name, label=label, value=value)
        for (definition, name, label), value in sorted(sums.items())
    )


def clear(apps, schema_editor):
    apps.get_model('engine', 'WorkflowTotal').objects.all().delete()


class Migration(migrations.Migration):

    dependencies = [
        ('engine', '0017_workflow_total'),
    ]

    operations = [
        migrations.RunPython(fill, clear),
    ]
