"""The application's entry in Django's registry."""

from __future__ import annotations

from django.apps import AppConfig
from django.db.models.signals import post_migrate

from messaging.checks import register_checks
from messaging.operators import create_operators


class MessagingConfig(AppConfig):
    name = "messaging"
    verbose_name = "Messaging"
    default_auto_field = "django.db.models.BigAutoField"

    def ready(self) -> None:
        from messaging import database_connections, signals  # need the models, as the next one
        from messaging.store import checks as store_checks

        signals.connect()
        register_checks()
        store_checks.register_checks()
        database_connections.register_checks()
        post_migrate.connect(create_operators, sender=self)
