import uuid

import django.db.models.deletion
from django.conf import settings
from django.db import migrations, models

import engine.runs.fields


class Migration(migrations.Migration):

    dependencies = [
        ('engine', '0008_run_business_key'),
        migrations.swappable_dependency(settings.AUTH_USER_MODEL),
    ]

    operations = [
        migrations.CreateModel(
            name='WorkflowSchedule',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('public_id', models.UUIDField(default=uuid.uuid4, editable=False, unique=True)),
                ('cron', models.CharField(max_length=100)),
                ('zone', models.CharField(max_length=64)),
                ('inputs', engine.runs.fields.JsonText()),
                ('enabled', models.BooleanField(default=True)),
                ('missed', models.CharField(default='once', help_text='What happens to times the engine slept through.', max_length=4)),
                ('next_at', models.DateTimeField(null=True)),
                ('last_at', models.DateTimeField(null=True)),
                ('problem', models.TextField(blank=True, default='', help_text='Why the newest start did not succeed.')),
                ('created_at', models.DateTimeField()),
                ('created_by', models.ForeignKey(null=True, on_delete=django.db.models.deletion.SET_NULL, related_name='+', to=settings.AUTH_USER_MODEL)),
                ('definition', models.ForeignKey(on_delete=django.db.models.deletion.CASCADE, related_name='schedules', to='engine.workflowdefinition')),
                ('last_run', models.ForeignKey(null=True, on_delete=django.db.models.deletion.SET_NULL, related_name='+', to='engine.run')),
            ],
            options={
                'ordering': ['id'],
                'indexes': [models.Index(condition=models.Q(('enabled', True)), fields=['next_at'], name='engine_schedule_due')],
            },
        ),
    ]
