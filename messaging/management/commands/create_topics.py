"""Run `manage.py create_topics`: make the topics of the log, once, before the first send."""

from __future__ import annotations

from typing import Any

from django.core.exceptions import ImproperlyConfigured
from django.core.management.base import BaseCommand, CommandError

from messaging.conf import settings
from messaging.domain.errors import BackendError
from messaging.eventlog import create_topics


class Command(BaseCommand):
    help = (
        "Make the two topics of the log: the messages (IM_TOPIC) and the dead letters "
        "(IM_DEAD_LETTER_TOPIC), with IM_PARTITIONS partitions each (10), kept for at least 7 "
        "days, with as many replicas as the brokers give by default. Run it once after Kafka is "
        "installed; running it again changes nothing, except that a shorter retention is made 7 "
        "days. It refuses when a topic exists with another number of partitions, because "
        "repartitioning takes the messages of a conversation apart. With the log on Redis Streams "
        "(IM_EVENT_LOG_URL=redis://…) there is nothing to make, and it says so. "
        "Ends with 0 when the topics are ready, and 1 otherwise."
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
            self.stdout.write("the log is on Redis Streams: nothing needs to be made")
