import django.db.models.deletion
from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [
        ('engine', '0016_lean_hot_rows'),
    ]

    operations = [
        migrations.CreateModel(
            name='WorkflowTotal',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('name', models.CharField(max_length=40)),
                ('label', models.CharField(blank=True, default='', max_length=40)),
                ('value', models.FloatField(default=0.0)),
                (
                    'definition',
                    models.ForeignKey(
                        db_index=False, on_delete=django.db.models.deletion.CASCADE, related_name='+',
                        to='engine.workflowdefinition',
                    ),
                ),
            ],
            options={
                'constraints': [
                    models.UniqueConstraint(fields=('definition', 'name', 'label'), name='engine_workflow_total')
                ],
            },
        ),
    ]
