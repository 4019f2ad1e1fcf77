"""The reading end of the log on Kafka: a kafka-python consumer behind `ports.LogReader`.

The consumer process has one, by `eventlog.open_reader`. The vendor's consumer blocks and is not
thread-safe, so every call to it is made on one thread of its own; its heartbeats have another.

Partitions are shared by range, eagerly: all readers give theirs back before any gets new ones, so
that no two ever own the same. The price is that a batch in hand is read again after a change of
members. No deserializers: a record whose bytes cannot be read is stepped over here.
"""

from __future__ import annotations

import asyncio
import logging
import threading
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from types import MappingProxyType
from typing import Any, TypeVar

from kafka import ConsumerRebalanceListener, KafkaConsumer, TopicPartition
from kafka.coordinator.assignors.range import RangePartitionAssignor
from kafka.errors import (
    CommitFailedError,
    IllegalGenerationError,
    KafkaError,
    RebalanceInProgressError,
    UnknownMemberIdError,
)
from kafka.structs import OffsetAndMetadata

from messaging.domain.errors import CommitRefused, LogUnavailable
from messaging.eventlog.inbox import Inbox
from messaging.eventlog.kafka.quirks import UNREADABLE, complete_join, hear_last_words, step_over
from messaging.ports.log import Position, Record

logger = logging.getLogger(__name__)
T = TypeVar("T")

API_VERSION = (2, 8)  # the oldest broker; given, so that making a consumer waits for none
CALL_S = 5.0  # one call that is not a poll
SLACK_S = 5.0  # past its own timeout a call of the vendor's is given up
PROOF_S = 1.0  # how long silence counts as an empty log before the broker has to answer
JOIN_S = 0.5  # the least that a poll lasts in which a join is to be completed
METADATA_S = 5  # a topic that is made, or grows, after a reader has joined is found within
FETCH_BYTES = 4 * 1024 * 1024
FETCH_PARTITION_BYTES = 512 * 1024
FETCH_MIN_BYTES = 256 * 1024  # with 1 the broker wakes both sides for every record
FETCH_WAIT_MS = 100  # how long it gathers; a record is read so much later at most
AT_ONCE = 500  # records that the vendor decodes in one go
NOT_OURS = (
    CommitFailedError,
    IllegalGenerationError,
    RebalanceInProgressError,
    UnknownMemberIdError,
)


def consumer_config(
    servers: Sequence[str], group: str, security: Mapping[str, Any]
) -> dict[str, Any]:
    """What every consumer of the log is made with: nothing is committed but what it says."""
    hear_last_words()
    return {
        "bootstrap_servers": list(servers),
        **security,
        "group_id": group,
        "api_version": API_VERSION,
        "enable_auto_commit": False,
        "auto_offset_reset": "earliest",
        "allow_auto_create_topics": False,
        "request_timeout_ms": round(CALL_S * 1000),
        "reconnect_backoff_max_ms": 1_000,
        "metrics_enabled": False,
    }


class KafkaLogReader:
    """`max_poll_interval_s`: a reader silent for longer leaves the group. `session_s`: a dead one
    is missed after so long (a broker allows no less than 6 s unless told to). `security` is that of
    a `links.KafkaLink`.
    """

    def __init__(
        self,
        servers: Sequence[str],
        *,
        topic: str,
        group: str,
        security: Mapping[str, Any] = MappingProxyType({}),
        max_poll_interval_s: float = 60.0,
        session_s: float = 10.0,
    ) -> None:
        self._topic = topic
        self._config = consumer_config(servers, group, security) | {
            "partition_assignment_strategy": [RangePartitionAssignor],
            "max_poll_interval_ms": round(max_poll_interval_s * 1000),
            "session_timeout_ms": round(session_s * 1000),
            "heartbeat_interval_ms": round(session_s * 1000 / 4),
            "metadata_max_age_ms": METADATA_S * 1000,
            "fetch_max_bytes": FETCH_BYTES,
            "max_partition_fetch_bytes": FETCH_PARTITION_BYTES,
            "fetch_min_bytes": FETCH_MIN_BYTES,
            "fetch_max_wait_ms": FETCH_WAIT_MS,
        }
        self._thread = _new_thread()
        self._consumer: KafkaConsumer | None = None
        self._inbox: Inbox[int] = Inbox()
        self._moved = threading.Event()
        self._heard_s = 0.0
        self._closed = False

    async def poll(self, *, max_records: int, timeout_s: float) -> list[Record]:
        if not self._inbox:
            await self._call(self._fetch, max_records, timeout_s, bound_s=timeout_s + PROOF_S)
        return self._inbox.take(max_records)

    async def commit(self, last: Mapping[int, Record]) -> None:
        offsets = {partition: int(record.position.offset) for partition, record in last.items()}
        due, refused = self._inbox.committable(offsets)
        if due:
            await self._call(self._commit, due, bound_s=CALL_S)
        if refused:
            raise CommitRefused

    async def keep_alive(self) -> None:
        await self._call(self._hold, bound_s=CALL_S)

    async def rewind(self) -> None:
        await self._call(self._rewind, bound_s=CALL_S)

    async def close(self) -> None:
        if self._closed:
            return
        try:
            await self._call(self._leave, bound_s=CALL_S)
        except LogUnavailable:
            logger.warning("left without a goodbye", extra={"action": "reader.not_closed"})
        self._closed = True
        self._thread.shutdown(wait=False)

    async def _call(self, function: Callable[..., T], *args: Any, bound_s: float) -> T:
        """Run on the consumer's thread; the vendor's errors end here."""
        if self._closed:
            raise LogUnavailable("the reader is closed")
        call = asyncio.get_running_loop().run_in_executor(self._thread, function, *args)
        try:
            return await asyncio.wait_for(asyncio.shield(call), bound_s + SLACK_S)
        except NOT_OURS as exc:
            raise CommitRefused from exc
        except KafkaError as exc:
            raise LogUnavailable from exc
        except (LogUnavailable, *UNREADABLE) as exc:  # a timeout is an OSError
            self._abandon()
            raise LogUnavailable from exc

    def _abandon(self) -> None:
        """The vendor hangs or is broken inside: leave it its thread and begin with a new one.

        If it ever returns it leaves the group; else the broker misses it soon.
        """
        logger.error("consumer abandoned", extra={"action": "reader.abandoned"})
        if self._consumer is not None:
            self._thread.submit(self._consumer.close, autocommit=False, timeout_ms=CALL_S * 1000)
        self._thread.shutdown(wait=False)
        self._thread, self._consumer, self._inbox = _new_thread(), None, Inbox()

    # --- on the consumer's thread -----------------------------------------------------------

    def _open(self) -> KafkaConsumer:
        if self._consumer is None:
            self._consumer = KafkaConsumer(**self._config)
            self._consumer.subscribe([self._topic], listener=_Moves(self._inbox, self._moved))
        return self._consumer

    def _fetch(self, max_records: int, timeout_s: float) -> None:
        if self._inbox:
            return  # a call that was cancelled before this one went on and found something
        consumer = self._open()
        consumer.resume(*consumer.paused())
        self._receive(consumer, max_records, timeout_s)
        while self._inbox.has_room(max_records) and self._receive(consumer, max_records, 0):
            continue
        if self._inbox:
            self._heard_s = time.monotonic()
        elif time.monotonic() - self._heard_s > PROOF_S:
            # The vendor's poll returns nothing alike when there is nothing and when there is no
            # broker; an answer tells them apart. The coordinator gives none while members join.
            consumer.end_offsets([TopicPartition(self._topic, 0)], timeout_ms=PROOF_S * 1000)
            self._heard_s = time.monotonic()

    def _receive(self, consumer: KafkaConsumer, max_records: int, timeout_s: float) -> bool:
        """Whether anything came."""
        inbox = self._inbox  # lest a call that hangs finds the one of a later consumer
        wanted = max(1, min(max_records - len(inbox), AT_ONCE))
        batches: dict[TopicPartition, list[Any]] = {}
        if complete_join(consumer):
            timeout_s = max(timeout_s, JOIN_S)
        try:
            batches = consumer.poll(timeout_ms=round(timeout_s * 1000), max_records=wanted)
        except UNREADABLE as exc:
            inbox.put([step_over(consumer, exc)])
        for records in batches.values():
            inbox.put((record.offset, record_of(record)) for record in records)
        if self._moved.is_set():
            # A partition that was given back and came again is still read on from where it was,
            # past records that were handed out and cannot be committed any more.
            self._read_anew(consumer)
            self._moved.clear()
        return bool(batches)

    def _commit(self, positions: dict[int, int]) -> None:
        self._open().commit(
            {
                TopicPartition(self._topic, partition): OffsetAndMetadata(offset + 1, "", -1)
                for partition, offset in positions.items()
            },
            timeout_ms=CALL_S * 1000,
        )
        self._inbox.note_committed(positions)

    def _hold(self) -> None:
        """Be seen, then pause: in this order an error that waits in the fetcher is not lost.

        A record that slips through (one at most before the pause, and one after each change of
        partitions) waits in the inbox.
        """
        consumer = self._open()
        self._receive(consumer, 1, 0)
        consumer.pause(*consumer.assignment())

    def _rewind(self) -> None:
        self._read_anew(self._open())

    def _read_anew(self, consumer: KafkaConsumer) -> None:
        self._inbox.forget(partition.partition for partition in consumer.assignment())
        committed = {
            partition: consumer.committed(partition, timeout_ms=CALL_S * 1000)
            for partition in consumer.assignment()
        }
        for partition, offset in committed.items():
            if offset is None:
                consumer.seek_to_beginning(partition)
            else:
                consumer.seek(partition, offset)

    def _leave(self) -> None:
        consumer, self._consumer = self._consumer, None
        if consumer is not None:
            consumer.close(autocommit=False, timeout_ms=CALL_S * 1000)


class _Moves(ConsumerRebalanceListener):  # type: ignore[misc]  # untyped
    """Called on the vendor's own thread, while the consumer's thread waits in a poll or close."""

    def __init__(self, inbox: Inbox[int], moved: threading.Event) -> None:
        self._inbox = inbox
        self._moved = moved

    def on_partitions_revoked(self, revoked: Iterable[TopicPartition]) -> None:
        self._inbox.forget(partition.partition for partition in revoked)

    def on_partitions_assigned(self, assigned: Iterable[TopicPartition]) -> None:
        self._moved.set()


def _new_thread() -> ThreadPoolExecutor:
    return ThreadPoolExecutor(max_workers=1, thread_name_prefix="kafka-reader")


def record_of(record: Any) -> Record:
    return Record(
        Position(record.topic, record.partition, str(record.offset)),
        record.key,
        record.value,
        tuple((name, value or b"") for name, value in record.headers) if record.headers else (),
    )
