"""Configure kafka-python's consumers, hear of their partitions, and convert their records."""

from __future__ import annotations

import threading
from collections.abc import Iterable
from typing import Any

from kafka import ConsumerRebalanceListener, KafkaConsumer, TopicPartition

from messaging.eventlog.inbox import Inbox
from messaging.eventlog.kafka.quirks import hear_last_words
from messaging.links import KafkaLink
from messaging.ports.log import Position, Record

API_VERSION = (2, 8)  # the oldest broker; set, so that making a consumer waits for no broker
CALL_TIMEOUT_S = 5.0  # bounds one call that is not a poll
TIMEOUT_SLACK_S = 5.0  # a call is given up so long after the vendor's own timeout


def consumer_config(link: KafkaLink, group: str) -> dict[str, Any]:
    """Return the configuration of every consumer of the log, which commits explicitly alone."""
    hear_last_words()
    return {
        "bootstrap_servers": list(link.servers),
        **link.security,
        "group_id": group,
        "api_version": API_VERSION,
        "enable_auto_commit": False,
        "auto_offset_reset": "earliest",
        "allow_auto_create_topics": False,
        "request_timeout_ms": round(CALL_TIMEOUT_S * 1000),
        "reconnect_backoff_max_ms": 1_000,
        "metrics_enabled": False,
    }


def leave(consumer: KafkaConsumer | None) -> None:
    """Close a consumer, where there is one, without a commit."""
    if consumer is not None:
        consumer.close(autocommit=False, timeout_ms=CALL_TIMEOUT_S * 1000)


class Moves(ConsumerRebalanceListener):  # type: ignore[misc]  # untyped
    """Note changes of the assigned partitions.

    The vendor calls the methods on the vendor's own thread, while the consumer's thread waits in a
    poll or close.
    """

    def __init__(self, inbox: Inbox[int], moved: threading.Event) -> None:
        self._inbox = inbox
        self._moved = moved

    def on_partitions_revoked(self, revoked: Iterable[TopicPartition]) -> None:
        self._inbox.forget(partition.partition for partition in revoked)

    def on_partitions_assigned(self, assigned: Iterable[TopicPartition]) -> None:
        self._moved.set()


def record_of(record: Any) -> Record:
    return Record(
        Position(record.topic, record.partition, str(record.offset)),
        record.key,
        record.value,
        tuple((name, value or b"") for name, value in record.headers) if record.headers else (),
        None if record.timestamp < 0 else record.timestamp,
    )
