from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [
        ('engine', '0011_outbox'),
    ]

    operations = [
        migrations.AddField(
            model_name='run',
            name='deadline_at',
            field=models.DateTimeField(blank=True, null=True),
        ),
    ]
