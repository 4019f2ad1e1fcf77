"""Build the record batches of Kafka, each with the one confirmation that its records share.

Only `kafka.outbox` and `kafka.writer` use the module.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence

from aiokafka.errors import KafkaError, MessageSizeTooLargeError
from aiokafka.record.default_records import DefaultRecordBatchBuilder
from aiokafka.structs import TopicPartition

from messaging.domain.backend_errors import BackendError, LogUnavailable, RecordTooLarge
from messaging.ports.log import Confirmation, OutgoingRecord, Position, fail

BATCH_BYTES = 128 * 1024
MAGIC = 2  # the format of record batches since Kafka 0.11
NO_PRODUCER = -1  # the batch is of no idempotent producer, and of no transaction


def failed(error: BackendError) -> Confirmation:
    """Return a confirmation that has failed with this error."""
    confirmation: Confirmation = asyncio.get_running_loop().create_future()
    fail(confirmation, error)
    return confirmation


class RecordBatch:
    """Hold records of one partition that travel together.

    `confirmation` ends with the broker's answer (`confirm`), or with `fail`.
    """

    def __init__(self, place: TopicPartition) -> None:
        loop = asyncio.get_running_loop()
        self.place = place
        self.made_s = loop.time()
        self.confirmation: Confirmation = loop.create_future()
        self._count = 0
        self._builder = DefaultRecordBatchBuilder(
            magic=MAGIC,
            compression_type=0,
            is_transactional=0,
            producer_id=NO_PRODUCER,
            producer_epoch=NO_PRODUCER,
            base_sequence=NO_PRODUCER,
            batch_size=BATCH_BYTES,
        )
        self._data = b""

    def fill(self, records: Sequence[OutgoingRecord]) -> int:
        """Add the first of these records, as many as fit, and return how many were added.

        The first record of a batch always fits.
        """
        append, now_ms, first = self._builder.append, time.time_ns() // 1_000_000, self._count
        for record in records:
            headers = list(record.headers)
            if append(self._count, now_ms, record.key, record.value, headers) is None:
                break
            self._count += 1
        return self._count - first

    def data(self) -> bytes:
        """Return the batch as the brokers take it; no record can be added from then on."""
        if not self._data:
            self._data = bytes(self._builder.build())
        return self._data

    def confirm(self, offset: int) -> None:
        """Confirm that every in-sync replica has the batch, from this offset on."""
        position = Position(self.place.topic, self.place.partition, str(offset))
        self.confirmation.set_result(position)

    def refuse(self, cause: KafkaError) -> BackendError:
        """Fail the confirmation by the broker's error, and return the error of the port.

        A record above the size of a batch is alone in its batch. Records that are refused together
        are each small enough, so then the topic's limit is too small for a batch.
        """
        is_too_large = self._count == 1 and isinstance(cause, MessageSizeTooLargeError)
        error = RecordTooLarge() if is_too_large else LogUnavailable()
        error.__cause__ = cause
        fail(self.confirmation, error)
        return error
