import django.db.models.deletion
from django.db import migrations, models

import engine.runs.fields


class Migration(migrations.Migration):

    dependencies = [('engine', '0004_attempt_job')]

    operations = [
        migrations.AddField(
            model_name='run',
            name='depth',
            field=models.PositiveSmallIntegerField(db_default=0, default=0),
        ),
        migrations.AddField(
            model_name='run',
            name='parent',
            field=models.ForeignKey(blank=True, db_constraint=False, null=True, on_delete=django.db.models.deletion.SET_NULL, related_name='children', to='engine.run'),
        ),
        migrations.AddField(
            model_name='run',
            name='parent_task',
            field=models.CharField(blank=True, max_length=200, null=True),
        ),
        migrations.CreateModel(
            name='ChildRun',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('key', models.CharField(max_length=200)),
                ('iteration', models.PositiveIntegerField()),
                ('attempt', models.PositiveIntegerField()),
                ('workflow', models.CharField(max_length=120)),
                ('version', models.PositiveIntegerField(null=True)),
                ('inputs', engine.runs.fields.JsonText()),
                ('state', models.CharField(default='asked', max_length=10)),
                ('error', models.TextField(help_text='Why it could not be started.', null=True)),
                ('follow_after', models.DateTimeField()),
                ('child', models.OneToOneField(null=True, on_delete=django.db.models.deletion.SET_NULL, related_name='parent_step', to='engine.run')),
                ('parent', models.ForeignKey(db_index=False, on_delete=django.db.models.deletion.CASCADE, related_name='child_steps', to='engine.run')),
                ('task', models.ForeignKey(db_index=False, on_delete=django.db.models.deletion.CASCADE, related_name='+', to='engine.runtask')),
            ],
            options={
                'indexes': [models.Index(fields=['parent', 'id'], name='engine_child_of_run'), models.Index(condition=models.Q(('state__in', ['asked', 'ended', 'stopping'])), fields=['follow_after'], name='engine_child_to_follow')],
                'constraints': [models.UniqueConstraint(fields=('task', 'iteration', 'attempt'), name='engine_child_step')],
            },
        ),
    ]
