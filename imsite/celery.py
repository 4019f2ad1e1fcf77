"""Make the Celery application: beat asks for a sweep every minute, and the worker runs it."""

from __future__ import annotations

import logging.config
import os
import sys

from celery import Celery
from celery.signals import beat_init, celeryd_init, setup_logging
from django.conf import settings
from django.core.management.base import BaseCommand, SystemCheckError

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "imsite.settings")


def use_our_logging(**_: object) -> None:
    """Let worker and beat log like every other process.

    Without a receiver of this signal Celery adds log handlers of its own.
    """
    logging.config.dictConfig(settings.LOGGING)


def refuse_refused_settings(**_: object) -> None:
    """Refuse to start worker and beat as the web and `manage.py` do; Celery runs no checks itself.

    Raises: SystemExit with the text of the refusal.
    """
    try:
        BaseCommand(no_color=True).check()
    except SystemCheckError as refused:
        sys.exit(str(refused))


setup_logging.connect(use_our_logging)
celeryd_init.connect(refuse_refused_settings)
beat_init.connect(refuse_refused_settings)
app = Celery("imsite")
app.config_from_object("django.conf:settings", namespace="CELERY")
app.autodiscover_tasks()
