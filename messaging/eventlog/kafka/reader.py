"""Read the log on Kafka by a kafka-python consumer behind `ports.log.LogReader`.

The consumer process has one reader, by `eventlog.open_reader`. The vendor's consumer blocks and is
not thread-safe, so every call to it is made on one thread that serves this alone. The vendor's
heartbeats have another thread.

Partitions are assigned by range, eagerly: all readers give their partitions back before any reader
gets new ones, so that no two readers ever own the same partition. The price is that a batch in hand
is read again after a change of members. A record whose bytes cannot be read is stepped over here.
"""

from __future__ import annotations

import asyncio
import logging
import threading
import time
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Any, TypeVar

from kafka import KafkaConsumer, TopicPartition
from kafka.coordinator.assignors.range import RangePartitionAssignor
from kafka.errors import (
    CommitFailedError,
    IllegalGenerationError,
    KafkaError,
    RebalanceInProgressError,
    UnknownMemberIdError,
)
from kafka.structs import OffsetAndMetadata

from messaging.domain.backend_errors import CommitRefused, LogUnavailable
from messaging.eventlog.inbox import Inbox
from messaging.eventlog.kafka.consuming import (
    CALL_TIMEOUT_S,
    TIMEOUT_SLACK_S,
    Moves,
    consumer_config,
    leave,
    record_of,
)
from messaging.eventlog.kafka.pace import IDLE_WAIT_MS, Pace
from messaging.eventlog.kafka.quirks import UNREADABLE, complete_join, set_fetch_wait, step_over
from messaging.links import KafkaLink
from messaging.ports.log import Record

logger = logging.getLogger(__name__)
T = TypeVar("T")

SILENT_FOR_S = 1.0  # silence counts as an empty log for so long, then the broker has to answer
JOIN_TIMEOUT_S = 0.5  # the least duration of a poll that has to complete a join
METADATA_EVERY_S = 5  # until a topic that is made, or grows, after the join is found, at most
FETCH_BYTES = 4 * 1024 * 1024
FETCH_PARTITION_BYTES = 512 * 1024
FETCH_MIN_BYTES = 256 * 1024  # with 1 the broker wakes both sides for every record
AT_ONCE = 500  # records that the vendor decodes in one go
NOT_OURS = (
    CommitFailedError,
    IllegalGenerationError,
    RebalanceInProgressError,
    UnknownMemberIdError,
)


class KafkaLogReader:
    """Implement `ports.log.LogReader` as one member of a Kafka consumer group.

    `max_poll_interval_s`: a reader that makes no call for longer leaves the group.
    `session_s`: the broker detects a dead reader after so long; a broker allows no less than 6 s
    unless configured to.
    """

    def __init__(
        self,
        link: KafkaLink,
        *,
        topic: str,
        group: str,
        max_poll_interval_s: float = 60.0,
        session_s: float = 10.0,
    ) -> None:
        self._topic = topic
        self._config = consumer_config(link, group) | {
            "partition_assignment_strategy": [RangePartitionAssignor],
            "max_poll_interval_ms": round(max_poll_interval_s * 1000),
            "session_timeout_ms": round(session_s * 1000),
            "heartbeat_interval_ms": round(session_s * 1000 / 4),
            "metadata_max_age_ms": METADATA_EVERY_S * 1000,
            "fetch_max_bytes": FETCH_BYTES,
            "max_partition_fetch_bytes": FETCH_PARTITION_BYTES,
            "fetch_min_bytes": FETCH_MIN_BYTES,
            "fetch_max_wait_ms": IDLE_WAIT_MS,
        }
        self._thread = _new_thread()
        self._consumer: KafkaConsumer | None = None
        self._inbox: Inbox[int] = Inbox(int)
        self._moved = threading.Event()
        self._heard_s = 0.0
        self._pace = Pace()
        self._closed = False

    async def poll(self, *, max_records: int, timeout_s: float) -> list[Record]:
        if not self._inbox:
            await self._call(self._fetch, max_records, timeout_s, bound_s=timeout_s + SILENT_FOR_S)
        return self._inbox.take(max_records)

    async def commit(self, last: Mapping[int, Record]) -> None:
        due, refused = self._inbox.committable(last)
        if due:
            await self._call(self._commit, due, bound_s=CALL_TIMEOUT_S)
        if refused:
            raise CommitRefused

    async def keep_alive(self) -> None:
        await self._call(self._hold, bound_s=CALL_TIMEOUT_S)

    async def rewind(self) -> None:
        await self._call(lambda: self._read_anew(self._open()), bound_s=CALL_TIMEOUT_S)

    async def close(self) -> None:
        if self._closed:
            return
        try:
            await self._call(self._leave, bound_s=CALL_TIMEOUT_S)
        except LogUnavailable:
            logger.warning(
                "closed without leaving the group; its partitions are free after a timeout",
                extra={"action": "reader.not_closed"},
            )
        self._closed = True
        self._thread.shutdown(wait=False)

    async def _call(self, function: Callable[..., T], *args: Any, bound_s: float) -> T:
        """Run a function on the consumer's thread, and translate the vendor's errors.

        Raises: CommitRefused when the partitions have moved to another reader; LogUnavailable for
        every other failure.
        Leaves: a new consumer to be opened by the next call, where the call took too long or failed
        inside the vendor's code.
        """
        if self._closed:
            raise LogUnavailable("the reader is closed")
        call = asyncio.get_running_loop().run_in_executor(self._thread, function, *args)
        try:
            return await asyncio.wait_for(asyncio.shield(call), bound_s + TIMEOUT_SLACK_S)
        except NOT_OURS as exc:
            raise CommitRefused from exc
        except KafkaError as exc:
            raise LogUnavailable from exc
        except (LogUnavailable, *UNREADABLE) as exc:  # a timeout is an OSError
            self._abandon()
            raise LogUnavailable from exc

    def _abandon(self) -> None:
        """Give up a consumer that hangs or is broken inside, and start with a new thread and inbox.

        The old consumer keeps its thread. The old consumer leaves the group if its call ever
        returns; else the broker soon detects the old consumer as dead.
        """
        logger.error("Kafka client hangs and was replaced", extra={"action": "reader.abandoned"})
        self._thread.submit(leave, self._consumer)
        self._thread.shutdown(wait=False)
        self._thread, self._consumer, self._inbox = _new_thread(), None, Inbox(int)

    # --- on the consumer's thread -----------------------------------------------------------

    def _open(self) -> KafkaConsumer:
        if self._consumer is None:
            self._consumer = KafkaConsumer(**self._config)
            self._consumer.subscribe([self._topic], listener=Moves(self._inbox, self._moved))
        return self._consumer

    def _fetch(self, max_records: int, timeout_s: float) -> None:
        if self._inbox:
            return  # an earlier call, cancelled by its caller, went on and found records
        consumer = self._open()
        consumer.resume(*consumer.paused())
        self._receive(consumer, max_records, timeout_s)
        while self._inbox.has_room(max_records) and self._receive(consumer, max_records, 0):
            continue
        set_fetch_wait(consumer, self._pace.wait_ms(len(self._inbox)))
        if self._inbox:
            self._heard_s = time.monotonic()
        elif time.monotonic() - self._heard_s > SILENT_FOR_S:
            # The vendor's poll returns nothing both when the log is empty and when the broker is
            # away; an answer of the broker tells the two apart. The coordinator could not serve for
            # this, because it gives no answer while members join.
            consumer.end_offsets([TopicPartition(self._topic, 0)], timeout_ms=SILENT_FOR_S * 1000)
            self._heard_s = time.monotonic()

    def _receive(self, consumer: KafkaConsumer, max_records: int, timeout_s: float) -> bool:
        """Poll once, put the records into the inbox, and tell whether a readable record came."""
        inbox = self._inbox  # lest a call that hangs fills the inbox of a later consumer
        wanted = max(1, min(max_records - len(inbox), AT_ONCE))
        batches: dict[TopicPartition, list[Any]] = {}
        if complete_join(consumer):
            timeout_s = max(timeout_s, JOIN_TIMEOUT_S)
        try:
            batches = consumer.poll(timeout_ms=round(timeout_s * 1000), max_records=wanted)
        except UNREADABLE as exc:
            inbox.put([step_over(consumer, exc)])
        for records in batches.values():
            inbox.put(map(record_of, records))
        if self._moved.is_set():
            # The vendor reads a partition that was given back and assigned again on from the old
            # offset, past records that were handed out and cannot be committed any more.
            self._read_anew(consumer)
            self._moved.clear()
        return bool(batches)

    def _commit(self, positions: dict[int, int]) -> None:
        offsets = {
            TopicPartition(self._topic, partition): OffsetAndMetadata(offset + 1, "", -1)
            for partition, offset in positions.items()
        }
        self._open().commit(offsets, timeout_ms=CALL_TIMEOUT_S * 1000)
        self._inbox.note_committed(positions)

    def _hold(self) -> None:
        """Poll to keep the membership, then pause the partitions.

        A record that the polls return all the same (one at most before the pause, and one after
        each change of partitions) waits in the inbox.

        Order: the poll comes first, so that an error that waits in the fetcher is not lost.
        """
        consumer = self._open()
        self._receive(consumer, 1, 0)
        consumer.pause(*consumer.assignment())

    def _read_anew(self, consumer: KafkaConsumer) -> None:
        self._inbox.forget(partition.partition for partition in consumer.assignment())
        committed = {
            partition: consumer.committed(partition, timeout_ms=CALL_TIMEOUT_S * 1000)
            for partition in consumer.assignment()
        }
        for partition, offset in committed.items():
            if offset is None:
                consumer.seek_to_beginning(partition)
            else:
                consumer.seek(partition, offset)

    def _leave(self) -> None:
        consumer, self._consumer = self._consumer, None
        leave(consumer)


def _new_thread() -> ThreadPoolExecutor:
    return ThreadPoolExecutor(max_workers=1, thread_name_prefix="kafka-reader")
