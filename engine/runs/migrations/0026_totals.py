from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [
        ('engine', '0025_worker_queues'),
    ]

    operations = [
        migrations.CreateModel(
            name='Total',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('name', models.CharField(max_length=40)),
                ('label', models.CharField(blank=True, default='', max_length=40)),
                ('value', models.FloatField(default=0.0)),
            ],
            options={
                'constraints': [models.UniqueConstraint(fields=('name', 'label'), name='engine_total_name')],
            },
        ),
        migrations.AddField(
            model_name='run',
            name='counted',
            field=models.BooleanField(db_default=False, default=False, help_text='Whether the totals hold it.'),
        ),
        migrations.AddIndex(
            model_name='run',
            index=models.Index(
                condition=models.Q(('counted', False), ('ended_at__isnull', False)), fields=['id'], name='engine_run_uncounted'
            ),
        ),
    ]
