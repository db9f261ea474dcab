from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [
        ('engine', '0007_run_deadline'),
    ]

    operations = [
        migrations.AddField(
            model_name='run',
            name='business_key',
            field=models.CharField(blank=True, max_length=200, null=True),
        ),
        migrations.AddConstraint(
            model_name='run',
            constraint=models.UniqueConstraint(fields=('definition', 'business_key'), name='engine_run_business_key'),
        ),
    ]
