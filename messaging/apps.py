"""Enter the application into Django's registry."""

from __future__ import annotations

from django.apps import AppConfig
from django.contrib.auth import get_user_model
from django.db.models.signals import post_migrate

from messaging import checks  # noqa: F401  # the checks register themselves
from messaging.operators import create_operators
from messaging.validators import validate_user_name


class MessagingConfig(AppConfig):
    name = "messaging"
    verbose_name = "Messaging"
    default_auto_field = "django.db.models.BigAutoField"

    def ready(self) -> None:
        # All three need the models. Signals and checks connect themselves on import.
        from messaging.runtime import connections, signals  # noqa: F401
        from messaging.store import checks as store_checks

        # The forms of the admin and `createsuperuser` run the field's validators.
        username = get_user_model()._meta.get_field("username")
        username.validators = [validate_user_name]
        store_checks.register_checks()
        post_migrate.connect(create_operators, sender=self)
