import messaging.database.fields
from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [
        ('messaging', '0013_participants'),
    ]

    operations = [
        migrations.CreateModel(
            name='MessageChange',
            fields=[
                ('message_id', models.BigIntegerField(primary_key=True, serialize=False, verbose_name='message')),
                ('conversation_id', messaging.database.fields.AsciiText(max_length=64, verbose_name='conversation')),
                ('rev', models.BigIntegerField(verbose_name='revision')),
            ],
            options={
                'db_table': 'message_change',
                'default_permissions': (),
            },
        ),
        migrations.AddField(
            model_name='conversation',
            name='last_rev',
            field=models.BigIntegerField(db_default=0, default=0, verbose_name='changes'),
        ),
        migrations.AddField(
            model_name='message',
            name='expire_at',
            field=models.BigIntegerField(blank=True, null=True),
        ),
        migrations.AddField(
            model_name='message',
            name='rev',
            field=models.BigIntegerField(db_default=0, default=0, help_text='Of the last change; 0: as sent.', verbose_name='revision'),
        ),
        migrations.AddField(
            model_name='messagedelete',
            name='conversation_id',
            field=messaging.database.fields.AsciiText(blank=True, max_length=64, null=True, verbose_name='conversation'),
        ),
        migrations.AddField(
            model_name='messagedelete',
            name='rev',
            field=models.BigIntegerField(db_default=0, default=0, verbose_name='revision'),
        ),
        migrations.AddIndex(
            model_name='message',
            index=models.Index(fields=['conversation_id', 'seq', 'status', 'msg_type', 'from_user_id', 'expire_at'], name='message_unread'),
        ),
        migrations.AddIndex(
            model_name='messagedelete',
            index=models.Index(fields=['user_id', 'conversation_id', 'rev'], name='message_delete_rev'),
        ),
        migrations.AddIndex(
            model_name='messagechange',
            index=models.Index(fields=['conversation_id', 'rev'], name='message_change_rev'),
        ),
        migrations.RemoveIndex(
            model_name='message',
            name='message_conversation_seq',
        ),
    ]
