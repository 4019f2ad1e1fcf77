from django.db import migrations, models


class Migration(migrations.Migration):
    """Fills nothing: which ids were folded before it, and into which message, is known nowhere."""

    dependencies = [
        ('messaging', '0007_message_delete_message_id'),
    ]

    operations = [
        migrations.CreateModel(
            name='MessageAlias',
            fields=[
                ('message_id', models.BigIntegerField(primary_key=True, serialize=False, verbose_name='alias')),
                ('owner_id', models.BigIntegerField(verbose_name='message')),
            ],
            options={
                'db_table': 'message_alias',
                'default_permissions': (),
            },
        ),
    ]
