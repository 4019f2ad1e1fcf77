"""The Celery application: beat asks for a compensation sweep every minute, the worker does it."""

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
    """Worker and beat log like every other process; without a receiver Celery adds its own."""
    logging.config.dictConfig(settings.LOGGING)


def refuse_refused_settings(**_: object) -> None:
    """Worker and beat refuse to start as the web and `manage.py` do; Celery leaves checks out."""
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
