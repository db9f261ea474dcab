import uuid

import django.db.models.deletion
from django.conf import settings
from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [
        ('engine', '0009_workflow_schedule'),
        migrations.swappable_dependency(settings.AUTH_USER_MODEL),
    ]

    operations = [
        migrations.CreateModel(
            name='WorkflowTrigger',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('public_id', models.UUIDField(default=uuid.uuid4, editable=False, unique=True)),
                ('name', models.CharField(max_length=100)),
                ('signed', models.BooleanField(default=False)),
                ('prefix', models.CharField(help_text='The first characters of the secret, to recognise it by.', max_length=12)),
                ('digest', models.CharField(max_length=64)),
                ('sealed', models.TextField(blank=True, default='')),
                ('enabled', models.BooleanField(default=True)),
                ('last_used_at', models.DateTimeField(null=True)),
                ('created_at', models.DateTimeField()),
                ('created_by', models.ForeignKey(null=True, on_delete=django.db.models.deletion.SET_NULL, related_name='+', to=settings.AUTH_USER_MODEL)),
                ('definition', models.ForeignKey(on_delete=django.db.models.deletion.CASCADE, related_name='triggers', to='engine.workflowdefinition')),
            ],
            options={
                'ordering': ['id'],
            },
        ),
    ]
