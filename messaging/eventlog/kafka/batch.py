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

from messaging.domain.errors import BackendError, LogUnavailable, RecordTooLarge
from messaging.ports.log import OutgoingRecord, Position

Confirmation = asyncio.Future[Position]


def failed(error: BackendError) -> Confirmation:
    """A confirmation that will not come."""
    confirmation: Confirmation = asyncio.get_running_loop().create_future()
    fail(confirmation, error)
    return confirmation


def fail(confirmation: Confirmation, error: BackendError) -> None:
    """End a confirmation that nobody may be waiting for any more."""
    if not confirmation.done():
        confirmation.set_exception(error)
        confirmation.exception()  # marks it as looked at: a sender whose budget is spent has gone


class Batch:
    """Its confirmation ends with the broker's answer, or when somebody calls `fail`."""

    def __init__(self, builder: BatchBuilder, topic: str, partition: int) -> None:
        loop = asyncio.get_running_loop()
        self.made_s = loop.time()
        self.builder = builder
        self.confirmation: Confirmation = loop.create_future()
        self._topic = topic
        self._partition = partition
        self._count = 0

    def fill(self, records: Sequence[OutgoingRecord]) -> int:
        """Take what fits, until the batch leaves; returns how many were taken."""
        taken = 0
        append = self.builder.append
        for record in records:
            added = append(
                timestamp=None, key=record.key, value=record.value, headers=list(record.headers)
            )
            if added is None:
                break
            taken += 1
        self._count += taken
        return taken

    def settle(self, answer: asyncio.Future[RecordMetadata]) -> BackendError | None:
        """Pass the broker's answer on; returns what went wrong, typed."""
        cause = answer.exception()
        if cause is None:
            if not self.confirmation.done():
                first = str(answer.result().offset)
                self.confirmation.set_result(Position(self._topic, self._partition, first))
            return None
        # A record above the size of a batch is alone in its own. Several refused together are each
        # small enough, so that it is the topic's limit that is too small for a batch.
        is_too_large = self._count == 1 and isinstance(cause, MessageSizeTooLargeError)
        error = RecordTooLarge() if is_too_large else LogUnavailable()
        self.fail(error, cause)
        return error

    def fail(self, error: BackendError, cause: BaseException | None) -> None:
        error.__cause__ = cause
        fail(self.confirmation, error)


@dataclass(slots=True)
class Lane:
    """One partition's way out: batches leave one after the other, in the order of the calls.

    `on_made` and `on_settled` are told of each batch.
    """

    topic: str
    partition: int
    on_made: Callable[[Batch], None]
    on_settled: Callable[[Batch, BackendError | None], None]
    _open: Batch | None = None
    _callers: int = 0
    _lock: asyncio.Lock = field(default_factory=asyncio.Lock)

    def take(self, records: Sequence[OutgoingRecord], sent: list[Confirmation]) -> None:
        """Put what fits into the open batch, unless others wait for their turn; see `send`."""
        if self._open is not None and not self._callers:
            sent += [self._open.confirmation] * self._open.fill(records)

    async def send(
        self,
        producer: AIOKafkaProducer,
        records: Sequence[OutgoingRecord],
        sent: list[Confirmation],
    ) -> None:
        """Hand over the records after those in `sent`, adding the confirmation of each.

        What is not in `sent` when the call ends or is cancelled was not handed over.
        """
        self._callers += 1
        try:
            async with self._lock:
                while len(sent) < len(records):
                    if self._open is not None:
                        taken = self._open.fill(records[len(sent) :])
                        sent += [self._open.confirmation] * taken
                    if len(sent) < len(records):
                        await self._send_batch(producer, records, sent)
        except KafkaError:
            return
        finally:
            self._callers -= 1

    async def _send_batch(
        self,
        producer: AIOKafkaProducer,
        records: Sequence[OutgoingRecord],
        sent: list[Confirmation],
    ) -> None:
        """Open a batch and hand it over, which waits while the one before has not left yet."""
        batch = Batch(producer.create_batch(), self.topic, self.partition)
        self.on_made(batch)
        taken = batch.fill(records[len(sent) :] if sent else records)
        self._open = None
        try:
            answer = await producer.send_batch(batch.builder, self.topic, partition=self.partition)
        except BaseException as exc:
            batch.fail(LogUnavailable(), exc)
            raise
        finally:
            sent += [batch.confirmation] * taken
        self._open = batch
        answer.add_done_callback(lambda done: self.on_settled(batch, batch.settle(done)))
