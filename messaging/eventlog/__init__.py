"""The ordered log behind `ports.EventLog` and `ports.LogReader`, chosen by the scheme of its URL.

`wiring` opens it, `manage.py create_topics` prepares it. `kafka://host:port[,host:port]` is for
production, `kafkas://…` the same with TLS (`messaging.links`); `redis://…` (Redis Streams) needs
nothing besides the Redis that is there anyway.
"""

from __future__ import annotations

import difflib

from django.core.exceptions import ImproperlyConfigured

from messaging.conf import Settings
from messaging.links import KafkaLink, read_kafka_url
from messaging.ports.audit import LogInspector
from messaging.ports.log import EventLog, LogReader

VARIABLE = "IM_EVENT_LOG_URL"
LONGEST_DEAD_LETTERS = 10_000  # a partition, where no retention time removes them
_KAFKA, _STREAMS = "kafka", "redis streams"
_SCHEMES = {
    "kafka": _KAFKA,
    "redis": _STREAMS,
    "rediss": _STREAMS,
    "unix": _STREAMS,
    "kafkas": _KAFKA,
}

# The two kinds are imported where they are opened: a site on Redis Streams should not load two
# Kafka clients into each of its processes.


def open_log(url: str, settings: Settings) -> EventLog:
    """The writing end. Connects to nothing yet. Raises ImproperlyConfigured for a bad URL."""
    if _kind(url) == _KAFKA:
        from messaging.eventlog.kafka.writer import KafkaEventLog

        link = _link(url)
        return KafkaEventLog(
            link.servers,
            security=link.security,
            topics=[settings.topic, settings.dead_letter_topic],
            timeout_s=settings.log_timeout_s,
        )
    from messaging.eventlog.redis_streams.writer import RedisStreamsEventLog

    return RedisStreamsEventLog(
        url,
        partitions=settings.partitions,
        timeout_s=settings.redis_timeout_s,
        trip_timeout_s=settings.log_timeout_s / 2,  # an append may wait for one trip before its own
        longest={settings.dead_letter_topic: LONGEST_DEAD_LETTERS},
    )


def open_reader(url: str, settings: Settings) -> LogReader:
    """A new member of the consumer group. Joins at its first poll."""
    if _kind(url) == _KAFKA:
        from messaging.eventlog.kafka.reader import KafkaLogReader

        link = _link(url)
        return KafkaLogReader(
            link.servers,
            security=link.security,
            topic=settings.topic,
            group=settings.consumer_group,
        )
    from messaging.eventlog.redis_streams.reader import RedisStreamsLogReader

    return RedisStreamsLogReader(
        url,
        topic=settings.topic,
        group=settings.consumer_group,
        partitions=settings.partitions,
        timeout_s=settings.redis_timeout_s,
    )


def open_inspector(url: str, settings: Settings) -> LogInspector:
    """Looks at the consumers' topic without being one of them. Connects to nothing yet."""
    if _kind(url) == _KAFKA:
        from messaging.eventlog.kafka.inspector import KafkaLogInspector

        link = _link(url)
        return KafkaLogInspector(
            link.servers,
            security=link.security,
            topic=settings.topic,
            group=settings.consumer_group,
            partitions=settings.partitions,
        )
    from messaging.eventlog.redis_streams.inspector import RedisStreamsLogInspector

    return RedisStreamsLogInspector(
        url,
        topic=settings.topic,
        group=settings.consumer_group,
        partitions=settings.partitions,
        timeout_s=settings.log_timeout_s,
    )


def create_topics(url: str, settings: Settings) -> dict[str, str]:
    """Make both topics; returns what was done for each. Empty where none needs to be made.

    Idempotent. Raises TopicMismatch when a topic exists with another number of partitions,
    LogUnavailable, ImproperlyConfigured. Blocks for some seconds at most.
    """
    if _kind(url) != _KAFKA:
        return {}
    from messaging.eventlog.kafka.topics import create_kafka_topics

    link = _link(url)
    return create_kafka_topics(
        link.servers,
        security=link.security,
        topics=[settings.topic, settings.dead_letter_topic],
        partitions=settings.partitions,
    )


def check_url(url: str) -> None:
    """Raises ImproperlyConfigured, with what may have been meant, for a URL that names no log."""
    if _kind(url) == _KAFKA:
        _link(url)


def _kind(url: str) -> str:
    scheme, separator, _ = url.partition("://")
    kind = _SCHEMES.get(scheme)
    if kind is not None and separator:
        return kind
    guess = difflib.get_close_matches(scheme.lower(), _SCHEMES, n=1)
    hint = f"did you mean {guess[0]}://…?" if guess else f"known: {', '.join(_SCHEMES)}."
    raise ImproperlyConfigured(
        f"{VARIABLE}: no log is known for {scheme + separator!r:.60}; {hint}"
    )


def _link(url: str) -> KafkaLink:
    return read_kafka_url(VARIABLE, url)
