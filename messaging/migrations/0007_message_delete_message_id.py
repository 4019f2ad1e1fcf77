from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [
        ("messaging", "0005_cache_arrear"),
    ]

    operations = [
        migrations.AddIndex(
            model_name="messagedelete",
            index=models.Index(fields=["message_id"], name="message_delete_message_id"),
        ),
    ]
