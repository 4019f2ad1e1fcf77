"""Create the topics of the log on Kafka for `eventlog.create_topics`; the calls block."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import closing

from kafka.admin import ConfigResource, KafkaAdminClient
from kafka.errors import KafkaError, TopicAlreadyExistsError, UnknownTopicOrPartitionError, for_code

from messaging.domain.backend_errors import LogUnavailable, TopicMismatch
from messaging.eventlog.kafka.quirks import hear_last_words
from messaging.links import KafkaLink

CONNECT_MS = 5_000
REQUEST_MS = 10_000
RETENTION_MS = 7 * 24 * 3_600 * 1_000  # the consumer may be down for so long without any loss


def create_kafka_topics(
    link: KafkaLink, *, topics: Sequence[str], partitions: int
) -> dict[str, str]:
    """Create the topics as `eventlog.create_topics` says, with the brokers' default of replicas."""
    hear_last_words()
    try:
        admin = KafkaAdminClient(
            bootstrap_servers=list(link.servers),
            **link.security,
            bootstrap_timeout_ms=CONNECT_MS,
            request_timeout_ms=REQUEST_MS,
        )
        with closing(admin):
            return {topic: _ensure(admin, topic, partitions) for topic in topics}
    except KafkaError as exc:
        raise LogUnavailable(f"kafka at {', '.join(link.servers)}: {exc}") from exc


def _ensure(admin: KafkaAdminClient, topic: str, partitions: int) -> str:
    if (existing := _partitions(admin, topic)) is None:
        try:
            admin.create_topics(
                {
                    topic: {
                        "num_partitions": partitions,
                        "configs": {"retention.ms": str(RETENTION_MS)},
                    }
                },
                wait_for_metadata=True,
            )
        except TopicAlreadyExistsError:  # another process was quicker
            existing = _partitions(admin, topic)
        else:
            return f"created with {partitions} partitions, kept for 7 days"
    if existing != partitions:
        raise TopicMismatch(
            f"topic {topic} exists with {existing} partitions, not {partitions}. A key would move "
            "to another partition and lose its order: let the consumer read the topic to its end, "
            f"then delete it and run this again, or set IM_PARTITIONS={existing}."
        )
    if 0 <= (found_ms := retention_ms(admin, topic)) < RETENTION_MS:
        resource = ConfigResource("topic", topic, {"retention.ms": str(RETENTION_MS)})
        admin.alter_configs([resource])
        return f"kept its records for {found_ms / 3_600_000:.0f} hours, now for 7 days"
    return f"exists with {partitions} partitions"


def _partitions(admin: KafkaAdminClient, topic: str) -> int | None:
    (found,) = admin.describe_topics([topic])
    error = for_code(found["error_code"])
    if error is UnknownTopicOrPartitionError:
        return None
    if found["error_code"]:
        raise error(topic)
    return len(found["partitions"])


def retention_ms(admin: KafkaAdminClient, topic: str) -> int:
    """Return the retention time (ms) of a topic; -1 for no limit."""
    resource = ConfigResource("topic", topic, {"retention.ms": None})
    found = admin.describe_configs([resource], config_filter="all")
    return int(found["topic"][topic]["retention.ms"]["value"])
