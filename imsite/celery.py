"""The Celery application: beat asks for a compensation sweep every minute, the worker does it."""

from __future__ import annotations

import logging.config
import os

from celery import Celery
from celery.signals import setup_logging
from django.conf import settings

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "imsite.settings")


def use_our_logging(**_: object) -> None:
    """Worker and beat log like every other process; without a receiver Celery adds its own."""
    logging.config.dictConfig(settings.LOGGING)


setup_logging.connect(use_our_logging)
app = Celery("imsite")
app.config_from_object("django.conf:settings", namespace="CELERY")
app.autodiscover_tasks()
