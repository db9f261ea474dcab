from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [
        ('engine', '0024_retention'),
    ]

    operations = [
        migrations.AlterField(
            model_name='workerinstance',
            name='queues',
            field=models.TextField(default='', help_text='Separated by commas.'),
        ),
    ]
