from django.db import migrations, models
from django.db.models import F, Q


class Migration(migrations.Migration):

    dependencies = [
        ('engine', '0023_workflow_trigger'),
    ]

    operations = [
        migrations.AddField(
            model_name='run',
            name='min_seq',
            field=models.PositiveBigIntegerField(db_default=1, default=1),
        ),
        migrations.AddIndex(
            model_name='run',
            index=models.Index(
                condition=Q(('ended_at__isnull', False), ('min_seq__lte', F('seq'))),
                fields=['ended_at'],
                name='engine_run_untrimmed',
            ),
        ),
        migrations.AddField(
            model_name='blob',
            name='unreferenced_at',
            field=models.DateTimeField(db_index=True, null=True),
        ),
        migrations.AddIndex(
            model_name='attempt',
            index=models.Index(
                condition=Q(('result_blob__isnull', False)), fields=['result_blob'], name='engine_attempt_blob'
            ),
        ),
    ]
