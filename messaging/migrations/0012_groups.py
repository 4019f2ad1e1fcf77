import django.db.models.deletion
import messaging.database.fields
from django.conf import settings
from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [
        ('auth', '0012_alter_user_first_name_max_length'),
        ('messaging', '0011_user_names'),
        migrations.swappable_dependency(settings.AUTH_USER_MODEL),
    ]

    operations = [
        migrations.CreateModel(
            name='ChatGroupBan',
            fields=[
                ('pk', models.CompositePrimaryKey('group_id', 'user_id', blank=True, editable=False, primary_key=True, serialize=False)),
                ('group_id', models.BigIntegerField(verbose_name='group')),
                ('user_id', models.BigIntegerField(verbose_name='user')),
                ('banned_by', models.BigIntegerField(verbose_name='banned by')),
                ('time', models.BigIntegerField(verbose_name='banned at')),
            ],
            options={
                'db_table': 'chat_group_ban',
                'default_permissions': (),
            },
        ),
        migrations.CreateModel(
            name='ChatGroupRequest',
            fields=[
                ('pk', models.CompositePrimaryKey('group_id', 'user_id', blank=True, editable=False, primary_key=True, serialize=False)),
                ('group_id', models.BigIntegerField(verbose_name='group')),
                ('user_id', models.BigIntegerField(verbose_name='user')),
                ('text', messaging.database.fields.BoundedText(blank=True, max_length=200)),
                ('time', models.BigIntegerField(verbose_name='asked at')),
            ],
            options={
                'db_table': 'chat_group_request',
                'default_permissions': (),
            },
        ),
        migrations.CreateModel(
            name='Participant',
            fields=[
                ('pk', models.CompositePrimaryKey('user_id', 'conversation_id', blank=True, editable=False, primary_key=True, serialize=False)),
                ('user_id', models.BigIntegerField(verbose_name='user')),
                ('conversation_id', messaging.database.fields.AsciiText(max_length=64, verbose_name='conversation')),
                ('is_in', models.BooleanField(db_default=True, default=True, verbose_name='is in')),
                ('out_reason', messaging.database.fields.AsciiText(choices=[('left', 'left'), ('removed', 'removed'), ('banned', 'banned')], max_length=7, null=True)),
                ('floor_id', models.BigIntegerField(db_default=0, default=0)),
                ('floor_seq', models.BigIntegerField(db_default=0, default=0)),
                ('read_seq', models.BigIntegerField(db_default=0, default=0)),
                ('delivered_seq', models.BigIntegerField(db_default=0, default=0)),
                ('read_time', models.BigIntegerField(null=True)),
                ('pin_time', models.BigIntegerField(null=True)),
                ('muted_until', models.BigIntegerField(db_default=0, default=0)),
                ('hidden_id', models.BigIntegerField(null=True)),
                ('is_marked_unread', models.BooleanField(db_default=False, default=False)),
                ('rev', models.BigIntegerField(db_default=0, default=0)),
            ],
            options={
                'db_table': 'participant',
                'default_permissions': (),
            },
        ),
        migrations.CreateModel(
            name='Profile',
            fields=[
                ('user', models.OneToOneField(on_delete=django.db.models.deletion.CASCADE, primary_key=True, related_name='profile', serialize=False, to=settings.AUTH_USER_MODEL)),
                ('nickname', messaging.database.fields.BoundedText(blank=True, db_default='', default='', max_length=64)),
                ('avatar', messaging.database.fields.BoundedText(blank=True, db_default='', default='', max_length=2048)),
                ('shows_receipts', models.BooleanField(db_default=True, default=True)),
                ('invites_from', messaging.database.fields.AsciiText(db_default='everybody', default='everybody', max_length=9)),
            ],
            options={
                'db_table': 'profile',
                'default_permissions': (),
            },
        ),
        migrations.AddField(
            model_name='chatgroup',
            name='announcement',
            field=messaging.database.fields.BoundedText(blank=True, db_default='', default='', max_length=2000),
        ),
        migrations.AddField(
            model_name='chatgroup',
            name='at_all_by',
            field=messaging.database.fields.AsciiText(choices=[('admins', 'admins'), ('members', 'members')], db_default='admins', default='admins', max_length=7),
        ),
        migrations.AddField(
            model_name='chatgroup',
            name='avatar',
            field=messaging.database.fields.BoundedText(blank=True, db_default='', default='', max_length=2048),
        ),
        migrations.AddField(
            model_name='chatgroup',
            name='creator_id',
            field=models.BigIntegerField(blank=True, null=True, verbose_name='creator'),
        ),
        migrations.AddField(
            model_name='chatgroup',
            name='history',
            field=messaging.database.fields.AsciiText(choices=[('all', 'all'), ('joined', 'joined')], db_default='joined', default='joined', max_length=6),
        ),
        migrations.AddField(
            model_name='chatgroup',
            name='invite_by',
            field=messaging.database.fields.AsciiText(choices=[('admins', 'admins'), ('members', 'members')], db_default='members', default='members', max_length=7),
        ),
        migrations.AddField(
            model_name='chatgroup',
            name='is_all_muted',
            field=models.BooleanField(db_default=False, default=False, verbose_name='all muted'),
        ),
        migrations.AddField(
            model_name='chatgroup',
            name='join_mode',
            field=messaging.database.fields.AsciiText(choices=[('open', 'open'), ('approval', 'approval'), ('invite', 'invite')], db_default='invite', default='invite', max_length=8),
        ),
        migrations.AddField(
            model_name='chatgroup',
            name='member_count',
            field=models.IntegerField(db_default=0, default=0, verbose_name='number of members'),
        ),
        migrations.AddField(
            model_name='chatgroup',
            name='mode',
            field=messaging.database.fields.AsciiText(blank=True, choices=[('async', 'async'), ('sync', 'sync')], max_length=5, null=True),
        ),
        migrations.AddField(
            model_name='chatgroup',
            name='request_id',
            field=messaging.database.fields.ExactText(blank=True, max_length=64, null=True),
        ),
        migrations.AddField(
            model_name='chatgroup',
            name='state',
            field=messaging.database.fields.AsciiText(choices=[('NORMAL', 'normal'), ('DISSOLVED', 'dissolved')], db_default='NORMAL', default='NORMAL', max_length=9),
        ),
        migrations.AddField(
            model_name='chatgroupmember',
            name='muted_until',
            field=models.BigIntegerField(db_default=0, default=0),
        ),
        migrations.AddField(
            model_name='chatgroupmember',
            name='nickname',
            field=messaging.database.fields.BoundedText(blank=True, db_default='', default='', max_length=64),
        ),
        migrations.AddField(
            model_name='message',
            name='extra',
            field=messaging.database.fields.AsciiText(blank=True, help_text='JSON: what few messages have.', max_length=1024, null=True),
        ),
        migrations.AddField(
            model_name='message',
            name='recalled_by',
            field=models.BigIntegerField(blank=True, help_text='Null for a sender who recalled the message.', null=True),
        ),
        migrations.AlterField(
            model_name='chatgroupmember',
            name='user',
            field=models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, to=settings.AUTH_USER_MODEL),
        ),
        migrations.AlterField(
            model_name='message',
            name='msg_type',
            field=models.PositiveSmallIntegerField(choices=[(1, 'text'), (2, 'image'), (3, 'video'), (4, 'file'), (5, 'voice'), (9, 'notice')], verbose_name='message type'),
        ),
        migrations.AddIndex(
            model_name='chatgroupmember',
            index=models.Index(fields=['group', 'role', 'user'], name='chat_group_member_role'),
        ),
        migrations.AddConstraint(
            model_name='chatgroup',
            constraint=models.UniqueConstraint(fields=('creator_id', 'request_id'), name='chat_group_request'),
        ),
        migrations.AddIndex(
            model_name='participant',
            index=models.Index(fields=['conversation_id', 'read_seq'], name='participant_conversation'),
        ),
    ]
