"""Send records of one partition to Kafka in batches, and keep the order of the batches.

The module is built on aiokafka's batch interface: one vendor future for a batch, instead of one for
each record, makes the writing end cheap. Only `kafka.writer` uses the module.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from aiokafka import AIOKafkaProducer
from aiokafka.errors import KafkaError, MessageSizeTooLargeError
from aiokafka.producer.message_accumulator import BatchBuilder
from aiokafka.structs import RecordMetadata

from messaging.domain.backend_errors import BackendError, LogUnavailable, RecordTooLarge
from messaging.ports.log import Confirmation, OutgoingRecord, Position, fail


def failed(error: BackendError) -> Confirmation:
    """Return a confirmation that has failed with this error."""
    confirmation: Confirmation = asyncio.get_running_loop().create_future()
    fail(confirmation, error)
    return confirmation


class RecordBatch:
    """Hold records that travel together, with the one confirmation that they share.

    The confirmation ends with the broker's answer, or with a call of `fail`.
    """

    def __init__(self, builder: BatchBuilder, topic: str, partition: int) -> None:
        loop = asyncio.get_running_loop()
        self.made_s = loop.time()
        self.builder = builder
        self.confirmation: Confirmation = loop.create_future()
        self._topic = topic
        self._partition = partition
        self._count = 0

    def fill(self, records: Sequence[OutgoingRecord]) -> int:
        """Add the first of these records, as many as fit, and return how many were added.

        A batch that has left takes no records.
        """
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
        """End the confirmation with the broker's answer; return the error of a failed batch."""
        cause = answer.exception()
        if cause is None:
            if not self.confirmation.done():
                first = str(answer.result().offset)
                self.confirmation.set_result(Position(self._topic, self._partition, first))
            return None
        # A record above the size of a batch is alone in its batch. Records that are refused
        # together are each small enough, so then the topic's limit is too small for a batch.
        is_too_large = self._count == 1 and isinstance(cause, MessageSizeTooLargeError)
        error = RecordTooLarge() if is_too_large else LogUnavailable()
        self.fail(error, cause)
        return error

    def fail(self, error: BackendError, cause: BaseException | None) -> None:
        error.__cause__ = cause
        fail(self.confirmation, error)


@dataclass(slots=True)
class Lane:
    """Send the batches of one partition one after the other, in the order of the calls.

    `on_made`: called with each new batch.
    `on_settled`: called with each batch that the broker answered, and the batch's error or None.
    """

    topic: str
    partition: int
    on_made: Callable[[RecordBatch], None]
    on_settled: Callable[[RecordBatch, BackendError | None], None]
    _open: RecordBatch | None = None
    _callers: int = 0
    _lock: asyncio.Lock = field(default_factory=asyncio.Lock)

    def take(self, records: Sequence[OutgoingRecord], sent: list[Confirmation]) -> None:
        """Add the records that fit to the open batch, unless callers of `send` wait for their turn.

        A confirmation is added to `sent` for each record that was added.
        """
        if self._open is not None and not self._callers:
            sent += [self._open.confirmation] * self._open.fill(records)

    async def send(
        self,
        producer: AIOKafkaProducer,
        records: Sequence[OutgoingRecord],
        sent: list[Confirmation],
    ) -> None:
        """Hand over the records after those in `sent`, adding the confirmation of each to `sent`.

        Leaves: a record without a confirmation in `sent`, when the call ends or is cancelled, was
        not handed over.
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
        """Open a batch and hand it to the producer, which waits until the batch before has left."""
        batch = RecordBatch(producer.create_batch(), self.topic, self.partition)
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
