"""Run `manage.py create_topics`: make the topics of the log, once, before the first send."""

from __future__ import annotations

from typing import Any

from django.core.exceptions import ImproperlyConfigured
from django.core.management.base import BaseCommand, CommandError

from messaging.conf import settings
from messaging.domain.backend_errors import BackendError
from messaging.eventlog import create_topics


class Command(BaseCommand):
    help = (
        "manage.py create_topics makes the two topics of the log: one for messages (IM_TOPIC) and "
        "one for dead letters (IM_DEAD_LETTER_TOPIC). Run it once after Kafka is installed; a "
        "second run changes nothing. Each topic gets IM_PARTITIONS partitions (10), the brokers' "
        "default number of replicas, and a retention of at least 7 days: a shorter one is raised. "
        "The command refuses a topic that exists with another number of partitions, because new "
        "partitions would take the messages of a conversation apart. On Redis Streams "
        "(IM_EVENT_LOG_URL=redis://…) there is nothing to make, and the command says so. "
        "Exit status: 0 when the topics are ready, 1 otherwise."
    )

    requires_system_checks = ()  # the command runs before there is anything to check

    def handle(self, *args: Any, **options: Any) -> None:
        current = settings()
        try:
            done = create_topics(current.event_log_url, current)
        except (BackendError, ImproperlyConfigured) as error:
            raise CommandError(str(error)) from error
        for topic, what in done.items():
            self.stdout.write(f"{topic}: {what}")
        if not done:
            self.stdout.write("the log is on Redis Streams: there are no topics to make")
