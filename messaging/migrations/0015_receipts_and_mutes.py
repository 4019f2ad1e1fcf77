from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [
        ('messaging', '0014_changes'),
    ]

    operations = [
        migrations.AddField(
            model_name='participant',
            name='member_muted_until',
            field=models.BigIntegerField(db_default=0, default=0),
        ),
        migrations.AddField(
            model_name='profile',
            name='receipts_from',
            field=models.BigIntegerField(db_default=0, default=0),
        ),
    ]
