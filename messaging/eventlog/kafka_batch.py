"""Records of one partition that travel to Kafka together, and the order in which they leave.

Built on aiokafka's batch interface: one vendor future for a batch instead of one for each record is
what makes the writing end cheap. Used by `kafka_writer` alone.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from aiokafka import AIOKafkaProducer
from aiokafka.errors import KafkaError, MessageSizeTooLargeError
from aiokafka.producer.message_accumulator import BatchBuilder
from aiokafka.structs import RecordMetadata

from messaging.errors import BackendError, LogUnavailable, RecordTooLarge
from messaging.ports import OutgoingRecord, Position

Item = tuple[OutgoingRecord, "asyncio.Future[Position]"]


def fail(future: asyncio.Future[Position], error: BackendError) -> None:
    """End a future that nobody may be waiting for any more."""
    if not future.done():
        future.set_exception(error)
        future.exception()  # marks it as looked at: a sender whose budget is spent has gone


class Batch:
    """Its futures end when the broker answers, and `timeout_s` after its making at the latest."""

    def __init__(self, builder: BatchBuilder, topic: str, partition: int, timeout_s: float) -> None:
        loop = asyncio.get_running_loop()
        self.made_s = loop.time()
        self.builder = builder
        self._topic = topic
        self._partition = partition
        self._futures: list[asyncio.Future[Position]] = []
        self._timer = loop.call_later(timeout_s, self.fail, LogUnavailable, None)

    def fill(self, items: Sequence[Item]) -> Sequence[Item]:
        """Take what fits, until the batch leaves; returns the rest."""
        for taken, (record, future) in enumerate(items):
            added = self.builder.append(
                timestamp=None, key=record.key, value=record.value, headers=list(record.headers)
            )
            if added is None:
                return items[taken:]
            self._futures.append(future)
        return ()

    def settle(self, answer: asyncio.Future[RecordMetadata]) -> BackendError | None:
        """Pass the broker's answer on to each record; returns what went wrong, typed."""
        self._timer.cancel()
        error = answer.exception()
        if error is None:
            base = answer.result().offset
            for index, future in enumerate(self._futures):
                if not future.done():
                    future.set_result(Position(self._topic, self._partition, str(base + index)))
            return None
        # A record above the size of a batch is alone in its own. Several refused together are each
        # small enough, so that it is the topic's limit that is too small for a batch.
        alone = len(self._futures) == 1
        kind = (
            RecordTooLarge
            if alone and isinstance(error, MessageSizeTooLargeError)
            else LogUnavailable
        )
        self.fail(kind, error)
        return kind()

    def fail(self, kind: type[BackendError], cause: BaseException | None) -> None:
        self._timer.cancel()
        for future in self._futures:
            error = kind()
            error.__cause__ = cause
            fail(future, error)


@dataclass(slots=True)
class Lane:
    """One partition's way out: batches leave one after the other, in the order of the calls."""

    topic: str
    partition: int
    timeout_s: float
    on_settled: Callable[[Batch, BackendError | None], None]
    _open: Batch | None = None
    _lock: asyncio.Lock = field(default_factory=asyncio.Lock)

    async def send(
        self, producer: AIOKafkaProducer, items: Sequence[Item], deadline_s: float
    ) -> None:
        """Hand the items over, in order; past the deadline the rest has failed."""
        try:
            async with asyncio.timeout_at(deadline_s), self._lock:
                while items := self._open.fill(items) if self._open else items:
                    items = await self._send_batch(producer, items)
        except (KafkaError, TimeoutError):
            pass
        finally:
            for _, future in items:
                fail(future, LogUnavailable("the log takes no more for now"))

    async def _send_batch(
        self, producer: AIOKafkaProducer, items: Sequence[Item]
    ) -> Sequence[Item]:
        """Open a batch and hand it over, which waits while the one before has not left yet."""
        batch = Batch(producer.create_batch(), self.topic, self.partition, self.timeout_s)
        rest = batch.fill(items)
        self._open = None
        try:
            answer = await producer.send_batch(batch.builder, self.topic, partition=self.partition)
        except BaseException as exc:
            batch.fail(LogUnavailable, exc)
            raise
        self._open = batch
        answer.add_done_callback(lambda done: self.on_settled(batch, batch.settle(done)))
        return rest
