import messaging.database.fields
from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [
        ('messaging', '0015_receipts_and_mutes'),
    ]

    operations = [
        migrations.CreateModel(
            name='AuditRun',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('scope', messaging.database.fields.AsciiText(choices=[('hourly', 'hourly'), ('nightly', 'nightly')], max_length=7)),
                ('started_at', models.DateTimeField(verbose_name='started')),
                ('ended_at', models.DateTimeField(verbose_name='ended')),
                ('outcome', messaging.database.fields.AsciiText(choices=[('clean', 'clean'), ('faulty', 'faulty'), ('incomplete', 'incomplete')], max_length=10)),
                ('findings', models.JSONField(default=dict)),
                ('unaccounted', models.PositiveBigIntegerField(null=True)),
                ('missing', models.JSONField(default=list)),
            ],
            options={
                'verbose_name': 'audit run',
                'verbose_name_plural': 'audit runs',
                'db_table': 'audit_run',
                'default_permissions': ('view',),
                'indexes': [models.Index(fields=['scope', 'id'], name='audit_run_scope_id'), models.Index(fields=['started_at'], name='audit_run_started_at')],
            },
        ),
    ]
