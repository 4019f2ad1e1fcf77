"""Work around faults of kafka-python 3.0.12, for every module that uses kafka-python.

Undecodable batch: kafka-python raises once for a batch with a wrong checksum, or one that does not
decode, and the next poll never returns, because the poll goes on asking the decoder that has ended.
A seek frees the consumer.

Unfinished join: kafka-python joins the group again when the topic's metadata change, and forgets
the reason as soon as the group's leader has assigned the partitions. A poll that has ended by then
leaves a join that nothing completes: the reader owns no partition, raises no error, and reads
nothing ever after. A join that is answered between two polls is dropped by the second poll, which
begins another join.

Fixed fetch wait: kafka-python has no public way to change `fetch_max_wait_ms` of a running
consumer.

Lost last data: kafka-python drops the data that arrive together with the end of a connection. With
a wrong password these data are the broker's refusal, so that no caller gets it.
"""

from __future__ import annotations

import logging
import struct
import zlib
from typing import Any

from kafka import KafkaConsumer
from kafka.errors import CorruptRecordError, UnsupportedCodecError
from kafka.net.transport import KafkaSSLTransport, KafkaTCPTransport

from messaging.domain.backend_errors import LogUnavailable
from messaging.ports.log import Position, Record

logger = logging.getLogger(__name__)

UNREADABLE = (  # the errors that decoding can raise
    CorruptRecordError,
    UnsupportedCodecError,
    ArithmeticError,
    AssertionError,
    AttributeError,
    EOFError,
    LookupError,
    OSError,
    RuntimeError,
    TypeError,
    ValueError,
    struct.error,
    zlib.error,
)


def hear_last_words() -> None:
    """Patch kafka-python to handle the data that arrive together with the end of a connection.

    Safe to repeat.
    """
    for transport in (KafkaTCPTransport, KafkaSSLTransport):
        receive = transport.__dict__["_sock_recv"]
        if not hasattr(receive, "hears_last_words"):
            transport._sock_recv = _data_first(receive)


def _data_first(receive: Any) -> Any:
    """Wrap a receive function to return data before an error.

    The next read, which has no data, finds the end of the connection again.
    """

    def sock_recv(transport: Any) -> tuple[bytes, Exception | None]:
        data, error = receive(transport)
        return data, None if data else error

    sock_recv.hears_last_words = True  # type: ignore[attr-defined]
    return sock_recv


def step_over(consumer: KafkaConsumer, cause: Exception) -> Record:
    """Seek behind the record that the last poll could not read, and return that record.

    The returned record has the position, and neither key nor value. A batch that is wholly
    unreadable takes as many calls as the batch has records.

    Raises: LogUnavailable when the error has another reason.
    """
    batch = consumer._fetcher._next_partition_records  # no public attribute has the batch
    if not batch:
        raise LogUnavailable from cause
    partition, offset = batch.topic_partition, batch.next_fetch_offset
    consumer.seek(partition, offset + 1)
    logger.error(
        "unreadable record",
        extra={
            "action": "reader.unreadable",
            "partition": partition.partition,
            "offset": offset,
            "error": type(cause).__name__,
        },
    )
    return Record(Position(partition.topic, partition.partition, str(offset)), None, None)


def complete_join(consumer: KafkaConsumer) -> bool:
    """Tell whether the last poll left a join unfinished, and let the next poll continue the join.

    The next poll has to last, because it starts over where the join was answered between two polls.

    Order: call before each poll.
    """
    coordinator = consumer._coordinator
    if coordinator._join_task is None:
        return False
    coordinator.request_rejoin()
    return True


def set_fetch_wait(consumer: KafkaConsumer, wait_ms: int) -> None:
    """Set how long the broker may gather records for the fetches from now on."""
    consumer._fetcher.config["fetch_max_wait_ms"] = wait_ms
