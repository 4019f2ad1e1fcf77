"""Append to the log on Kafka, over aiokafka's client, behind `ports.log.EventLog`.

`eventlog.open_log` makes one log object per process. The object belongs to the event loop and the
process that used it first. An append does not wait for a broker: the connection is made, and made
again, in the background, and appends fail at once while there is no connection. Only the first
appends of a process wait for the connection, `FIRST_CONNECTION_TIMEOUT_S` at most.

Durability: acks=all, so a confirmed record is on every in-sync replica. The writer is no idempotent
producer (a retry may write a record twice; the store removes repeats), because an idempotent
producer has errors after which it never sends again. Memory: a partition holds one batch that is
being sent and one that waits.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
from collections import defaultdict
from collections.abc import Sequence
from functools import lru_cache

from aiokafka.errors import KafkaError, RequestTimedOutError
from aiokafka.partitioner import murmur2

from messaging.domain.backend_errors import BackendError, LogUnavailable, RecordTooLarge
from messaging.domain.breakers import Breaker, State
from messaging.domain.deadline_queue import DeadlineQueue
from messaging.eventlog.kafka.batch import RecordBatch, failed
from messaging.eventlog.kafka.outbox import Outbox
from messaging.eventlog.kafka.outboxes import Outboxes
from messaging.links import KafkaLink
from messaging.ports.log import MAX_RECORD_BYTES, Confirmation, OutgoingRecord

logger = logging.getLogger(__name__)

HAND_OVER_TIMEOUT_S = 0.05
CHECKS_PER_TIMEOUT = 8  # a batch is given up an eighth of its time early at most
FIRST_CONNECTION_TIMEOUT_S = 0.4  # the first appends of a process wait so long for the connection


@lru_cache(maxsize=65_536)
def _hash(key: bytes) -> int:
    return int(murmur2(key)) & 0x7FFF_FFFF


def partition_of(key: bytes, partitions: int) -> int:
    """Return the partition of a key: murmur2, the default of the Java client and kafka-python."""
    return _hash(key) % partitions


class KafkaEventLog:
    """Implement `ports.log.EventLog` over Kafka.

    `topics`: their metadata are fetched with the connection, so that the first append to one of
    these topics need not wait.
    """

    shares_cache_disk = False

    def __init__(self, link: KafkaLink, *, topics: Sequence[str], timeout_s: float) -> None:
        self._outboxes = Outboxes(
            link,
            topics=topics,
            timeout_s=timeout_s,
            on_made=self._made,
            on_settled=self._settled,
        )
        self._timeout_s = timeout_s
        self._pid = os.getpid()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._outbox: Outbox | None = None
        self.breaker = Breaker("log", self._reconnect, state=State.OPEN)
        self._tried = asyncio.Event()
        self._batches = DeadlineQueue(self._give_up, pause_s=timeout_s / CHECKS_PER_TIMEOUT)
        self._confirmed_s = float("-inf")
        self._closed = False

    async def append(self, topic: str, records: Sequence[OutgoingRecord]) -> list[Confirmation]:
        loop = self._own_loop()
        outbox = await self._connected()
        deadline_s = loop.time() + HAND_OVER_TIMEOUT_S
        partitions = await self._partitions(outbox, topic, deadline_s) if outbox else 0
        if not outbox or not partitions:
            return [failed(LogUnavailable("no connection, or no such topic"))] * len(records)
        confirmations: dict[int, Confirmation] = {}
        places: dict[int, list[int]] = defaultdict(list)  # in what is appended, by partition
        for place, record in enumerate(records):
            if _size(record) > MAX_RECORD_BYTES:
                confirmations[place] = failed(RecordTooLarge())
            else:
                places[partition_of(record.key, partitions)].append(place)
        parts = {partition: [records[n] for n in part] for partition, part in places.items()}
        sent = await outbox.hand_over(topic, parts, deadline_s)
        for partition, part in places.items():
            confirmations |= zip(part, sent[partition], strict=False)
        if len(confirmations) < len(records):
            refused = failed(LogUnavailable("the log takes no more for now"))
            confirmations = dict.fromkeys(range(len(records)), refused) | confirmations
        return [confirmations[place] for place in range(len(records))]

    async def ping(self) -> None:
        self._own_loop()
        try:
            async with asyncio.timeout(self._timeout_s):
                if (outbox := await self._connected()) is None:
                    raise LogUnavailable
                await outbox.ping()
        except (KafkaError, TimeoutError) as exc:
            raise LogUnavailable from exc

    async def close(self) -> None:
        self._closed = True
        await self.breaker.close()
        outbox, self._outbox = self._outbox, None
        if outbox is not None:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(self._timeout_s):
                    await outbox.sent()
            self._outboxes.end(outbox)
        await self._outboxes.ended()
        for batch in self._batches.drain():
            batch.refuse(RequestTimedOutError())

    # --- the connection ---------------------------------------------------------------------

    def _own_loop(self) -> asyncio.AbstractEventLoop:
        loop = asyncio.get_running_loop()
        self._loop = self._loop or loop
        if self._pid != os.getpid() or self._loop is not loop:
            raise RuntimeError("a KafkaEventLog belongs to one process and one event loop")
        return loop

    async def _connected(self) -> Outbox | None:
        if self._outbox is None and not self._closed:
            self.breaker.trip()
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._tried.wait(), FIRST_CONNECTION_TIMEOUT_S)
        return self._outbox

    async def _reconnect(self) -> None:
        """Replace the outbox by a connected one.

        Order: earlier outboxes end first, lest they write after the new one.

        Raises: LogUnavailable when no connection can be made.
        """
        await self._outboxes.ended()
        outbox = await self._outboxes.open()
        self._tried.set()
        if outbox is None:
            raise LogUnavailable
        self._outbox = outbox

    def _settled(self, batch: RecordBatch, error: BackendError | None) -> None:
        """Note the outcome of a batch; reconnect when the log seems to be away.

        The log seems to be away when a batch fails with LogUnavailable and no batch was confirmed
        since the failed batch was made.
        """
        self._batches.discard(batch)
        if error is None:
            self._confirmed_s = asyncio.get_running_loop().time()
        elif (
            isinstance(error, LogUnavailable)
            and self._outbox is not None
            and self._confirmed_s < batch.made_s
        ):
            logger.warning(
                "Kafka does not confirm; connecting anew", extra={"action": "log.unavailable"}
            )
            self._outboxes.end(self._outbox)
            self._outbox = None
            self.breaker.trip()

    async def _partitions(self, outbox: Outbox, topic: str, deadline_s: float) -> int:
        known = await outbox.partitions_of(topic, deadline_s)
        if not known:
            logger.warning(
                "unknown topic: run manage.py create_topics",
                extra={"action": "log.no_topic", "topic": topic},
            )
        return known

    def _made(self, batch: RecordBatch) -> None:
        self._batches.add(batch, batch.made_s + self._timeout_s * (1 - 1 / CHECKS_PER_TIMEOUT))

    def _give_up(self, overdue: RecordBatch) -> None:
        self._settled(overdue, overdue.refuse(RequestTimedOutError()))


def _size(record: OutgoingRecord) -> int:
    size = len(record.key) + len(record.value)
    for name, value in record.headers:
        size += len(name) + len(value)
    return size
