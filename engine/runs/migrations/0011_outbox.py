import django.db.models.deletion
from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [('engine', '0010_child_runs')]

    operations = [
        migrations.CreateModel(
            name='OutboxItem',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('key', models.CharField(max_length=200)),
                ('iteration', models.PositiveIntegerField()),
                ('kind', models.CharField(max_length=10)),
                ('recipient', models.CharField(help_text='A mail address, or the name of a webhook.', max_length=320)),
                ('subject', models.CharField(max_length=200)),
                ('message', models.TextField()),
                ('dedupe_key', models.CharField(max_length=64, unique=True)),
                ('state', models.CharField(default='waiting', max_length=10)),
                ('tries', models.PositiveSmallIntegerField(default=0)),
                ('next_try_at', models.DateTimeField()),
                ('sent_at', models.DateTimeField(null=True)),
                ('error', models.TextField(null=True)),
                ('created_at', models.DateTimeField()),
                ('run', models.ForeignKey(on_delete=django.db.models.deletion.CASCADE, related_name='outbox', to='engine.run')),
            ],
            options={
                'indexes': [models.Index(condition=models.Q(('state', 'waiting')), fields=['next_try_at'], name='engine_outbox_due')],
            },
        ),
    ]
