"""Open the log behind `ports.log.EventLog` and `ports.log.LogReader`, chosen by its URL's scheme.

`runtime` opens the log, and `manage.py create_topics` prepares it. `kafka://host:port[,host:port]`
is for production, `kafkas://…` the same with TLS (`messaging.links`). `redis://…`, `rediss://…` and
`unix://…` stand for Redis Streams, which needs no server besides the Redis of the cache.
"""

from __future__ import annotations

import difflib

from django.core.exceptions import ImproperlyConfigured

from messaging.conf import Settings
from messaging.links import KafkaLink, read_kafka_url
from messaging.ports.audit import LogInspector
from messaging.ports.log import POLL_BYTES, EventLog, LogReader

VARIABLE = "IM_EVENT_LOG_URL"
LONGEST_DEAD_LETTERS = 10_000  # of a partition, where no retention time removes dead letters
_KAFKA_SCHEMES = ("kafka", "kafkas")
_SCHEMES = ("kafka", "redis", "rediss", "unix", "kafkas")

# The two kinds are imported where they are opened: a site on Redis Streams should not load two
# Kafka clients into each of its processes.


def open_log(url: str, settings: Settings) -> EventLog:
    """Return the writing end of the log at this URL, not connected yet.

    Raises: ImproperlyConfigured for a bad URL.
    """
    if link := _kafka_link(url):
        from messaging.eventlog.kafka.writer import KafkaEventLog

        topics = [settings.topic, settings.dead_letter_topic]
        return KafkaEventLog(link, topics=topics, timeout_s=settings.log_timeout_s)
    from messaging.eventlog.redis_streams.writer import RedisStreamsEventLog

    return RedisStreamsEventLog(
        url,
        partitions=settings.partitions,
        timeout_s=settings.redis_timeout_s,
        trip_timeout_s=settings.log_timeout_s / 2,  # an append may wait for one trip before its own
        longest={settings.dead_letter_topic: LONGEST_DEAD_LETTERS},
    )


def open_reader(url: str, settings: Settings) -> LogReader:
    """Return a reader of the log at this URL: a new member of the consumer group.

    The reader joins the group at its first poll.

    Raises: ImproperlyConfigured for a bad URL.
    """
    topic, group, partitions = settings.topic, settings.consumer_group, settings.partitions
    if link := _kafka_link(url):
        from messaging.eventlog.kafka.reader import KafkaLogReader

        return KafkaLogReader(link, topic=topic, group=group)
    from messaging.eventlog.redis_streams.reader import RedisStreamsLogReader

    timeout_s = settings.redis_timeout_s
    return RedisStreamsLogReader(
        url, topic=topic, group=group, partitions=partitions, timeout_s=timeout_s
    )


def open_inspector(
    url: str,
    settings: Settings,
    *,
    timeout_s: float | None = None,
    fetch_bytes: int = POLL_BYTES,
) -> LogInspector:
    """Return an inspector of the consumers' topic, no member of their group, not connected yet.

    `timeout_s`: bounds each answer of the log; None for the bound that suits an audit.
    `fetch_bytes`: how much of a partition Kafka sends at a time, beside one record of any size.

    Raises: ImproperlyConfigured for a bad URL.
    """
    topic, group, partitions = settings.topic, settings.consumer_group, settings.partitions
    if link := _kafka_link(url):
        from messaging.eventlog.kafka.consuming import CALL_TIMEOUT_S
        from messaging.eventlog.kafka.inspector import KafkaLogInspector

        return KafkaLogInspector(
            link,
            topic=topic,
            group=group,
            partitions=partitions,
            timeout_s=timeout_s or CALL_TIMEOUT_S,
            fetch_bytes=fetch_bytes,
        )
    from messaging.eventlog.redis_streams.inspector import RedisStreamsLogInspector

    return RedisStreamsLogInspector(
        url,
        topic=topic,
        group=group,
        partitions=partitions,
        timeout_s=timeout_s or settings.log_timeout_s,
    )


def create_topics(url: str, settings: Settings) -> dict[str, str]:
    """Create both topics of the log, and return a report for each topic.

    The reports are empty for a log on Redis Streams, which needs no topics to be created. The call
    blocks for some seconds at most.

    Raises: TopicMismatch when a topic exists with another number of partitions; LogUnavailable when
    the log does not answer; ImproperlyConfigured for a bad URL.
    Safe to repeat.
    """
    link = _kafka_link(url)
    if link is None:
        return {}
    from messaging.eventlog.kafka.topics import create_kafka_topics

    topics = [settings.topic, settings.dead_letter_topic]
    return create_kafka_topics(link, topics=topics, partitions=settings.partitions)


def check_url(url: str) -> None:
    """Check that a URL names a log.

    Raises: ImproperlyConfigured for another URL, with the nearest known scheme or all of them.
    """
    _kafka_link(url)


def _kafka_link(url: str) -> KafkaLink | None:
    """Return the link of a log on Kafka, or None for a log on Redis Streams.

    Raises: ImproperlyConfigured for a URL that names no log.
    """
    scheme, separator, _ = url.partition("://")
    if separator and scheme in _SCHEMES:
        return read_kafka_url(VARIABLE, url) if scheme in _KAFKA_SCHEMES else None
    guess = difflib.get_close_matches(scheme.lower(), _SCHEMES, n=1)
    hint = f"did you mean {guess[0]}://…?" if guess else f"known: {', '.join(_SCHEMES)}."
    raise ImproperlyConfigured(
        f"{VARIABLE}: no log is known for {scheme + separator!r:.60}; {hint}"
    )
