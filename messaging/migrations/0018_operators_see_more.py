from django.db import migrations

SEEN = (("operations", "Can view operations"), ("auditrun", "Can view audit run"))


def let_operators_see(apps, schema_editor):
    """Give the group of an existing site what is new in this release; other rights stay.

    A new site has no group yet: `messaging.operators` makes it with all its rights.
    """
    using = schema_editor.connection.alias
    group = apps.get_model("auth", "Group").objects.using(using).filter(name="operators").first()
    if group is None:
        return
    for model, name in SEEN:
        kind, _ = (
            apps.get_model("contenttypes", "ContentType")
            .objects.using(using)
            .get_or_create(app_label="messaging", model=model)
        )
        permission, _ = (
            apps.get_model("auth", "Permission")
            .objects.using(using)
            .get_or_create(
                codename=f"view_{model}", content_type=kind, defaults={"name": name}
            )
        )
        group.permissions.add(permission)


class Migration(migrations.Migration):
    dependencies = [
        ("messaging", "0017_operations_page"),
        ("auth", "0012_alter_user_first_name_max_length"),
        ("contenttypes", "0002_remove_content_type_name"),
    ]

    operations = [migrations.RunPython(let_operators_see, migrations.RunPython.noop)]
