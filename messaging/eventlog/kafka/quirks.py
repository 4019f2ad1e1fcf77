"""What kafka-python 3.0.12 does wrong, and the ways around it. Used by all who talk through it.

It raises once for a batch with a wrong checksum or one that does not decode, and its next poll
never returns: it goes on asking the decoder that has ended. A seek frees it.

It joins the group again when the topic's metadata change, and forgets why as soon as the group's
leader has shared the partitions out. A poll that has ended by then leaves a join that nobody
completes: the reader owns nothing, says so to nobody, and reads nothing ever after. A join that is
answered between two polls is thrown away by the second, which begins another.

It throws away what arrives together with the end of a connection: with a wrong password the
broker's refusal, so that nobody is told of it.
"""

from __future__ import annotations

import logging
import struct
import zlib
from typing import Any

from kafka import KafkaConsumer
from kafka.errors import CorruptRecordError, UnsupportedCodecError
from kafka.net.transport import KafkaSSLTransport, KafkaTCPTransport

from messaging.domain.errors import LogUnavailable
from messaging.ports.log import Position, Record

logger = logging.getLogger(__name__)

UNREADABLE = (  # what decoding can raise
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
    """Let the client handle what arrives with the end of a connection. Safe to repeat."""
    for transport in (KafkaTCPTransport, KafkaSSLTransport):
        receive = transport.__dict__["_sock_recv"]
        if not hasattr(receive, "hears_last_words"):
            transport._sock_recv = _data_first(receive)


def _data_first(receive: Any) -> Any:
    """The end is found again by the next read, which has no data before it."""

    def sock_recv(transport: Any) -> tuple[bytes, Exception | None]:
        data, error = receive(transport)
        return data, None if data else error

    sock_recv.hears_last_words = True  # type: ignore[attr-defined]
    return sock_recv


def step_over(consumer: KafkaConsumer, cause: Exception) -> tuple[int, Record]:
    """Seek behind the record that the last poll could not read; returns its offset and place.

    A batch of which nothing can be read takes as many calls as it has records. Raises
    LogUnavailable when the error has another reason.
    """
    batch = consumer._fetcher._next_partition_records  # nothing public tells which one it was
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
    return offset, Record(Position(partition.topic, partition.partition, str(offset)), None, None)


def complete_join(consumer: KafkaConsumer) -> bool:
    """Before each poll: whether the last one has left a join in the middle, which goes on in this.

    The poll has to last, for it begins anew with a join that was answered between two polls.
    """
    coordinator = consumer._coordinator
    if coordinator._join_task is None:
        return False
    coordinator.request_rejoin()
    return True
