from django.db import migrations, models

NARROW = 'from_user_id, client_msg_id'
WIDE = 'from_user_id, client_msg_id, body_hash'


def widen(apps, schema_editor):
    set_primary_key(schema_editor, WIDE)


def narrow(apps, schema_editor):
    """Fails, with nothing changed, where a sender's clientMsgId has two bodies by now."""
    set_primary_key(schema_editor, NARROW)


def set_primary_key(schema_editor, columns):
    """Django alters no composite key; SQLite alters none at all."""
    if schema_editor.connection.vendor == 'mysql':
        schema_editor.execute(
            f'ALTER TABLE message_key DROP PRIMARY KEY, ADD PRIMARY KEY ({columns})'
        )
        return
    schema_editor.execute(
        'CREATE TABLE "message_key_anew" ("from_user_id" bigint NOT NULL,'
        ' "client_msg_id" varchar(64) NOT NULL CHECK (length("client_msg_id") <= 64),'
        ' "message_id" bigint NOT NULL,'
        ' "body_hash" varchar(32) NOT NULL CHECK (length("body_hash") <= 32),'
        f' PRIMARY KEY ({columns}))'
    )
    names = 'from_user_id, client_msg_id, message_id, body_hash'
    schema_editor.execute(
        f'INSERT INTO "message_key_anew" ({names}) SELECT {names} FROM "message_key"'
    )
    schema_editor.execute('DROP TABLE "message_key"')
    schema_editor.execute('ALTER TABLE "message_key_anew" RENAME TO "message_key"')


class Migration(migrations.Migration):

    dependencies = [
        ('messaging', '0009_user_sessions'),
    ]

    operations = [
        migrations.SeparateDatabaseAndState(
            database_operations=[migrations.RunPython(widen, narrow)],
            state_operations=[
                migrations.AlterField(
                    model_name='messagekey',
                    name='pk',
                    field=models.CompositePrimaryKey('from_user_id', 'client_msg_id', 'body_hash', blank=True, editable=False, primary_key=True, serialize=False),
                ),
            ],
        ),
    ]
