"""Encode requests that append record batches, and decode Kafka's answers.

aiokafka's connection sends such a request and hands over the answer. aiokafka's own encoder walks a
description of every field, which costs a lone send several times as much as the packing here.
`kafka.outbox` alone uses the module.

Source: Kafka's protocol guide, "Produce API", version 7, which every broker since Kafka 2.1 speaks.
"""

from __future__ import annotations

import struct
from collections.abc import Mapping
from io import BytesIO
from typing import NamedTuple

from aiokafka.errors import IncompatibleBrokerVersion
from aiokafka.structs import TopicPartition

API_KEY = 0
API_VERSION = 7
ALL_REPLICAS = -1
ABSENT = -1  # the length of a text that is not there

_HEADER = struct.Struct(">hhih")  # API, version, correlation id, length of the client's id
_CORRELATION = struct.Struct(">i")
_SETTINGS = struct.Struct(">hhii")  # transaction, replicas, time limit (ms), number of topics
_TEXT = struct.Struct(">h")  # the length of a text
_ARRAY = struct.Struct(">i")  # the number of items
_PART = struct.Struct(">ii")  # partition, length of the records
_PLACED = struct.Struct(">ihqqq")  # partition, error, offset, its time, first offset of the log


class Header(NamedTuple):
    """Lead a request or an answer; an answer's header has no client's id."""

    correlation_id: int
    client_id: str = ""

    def encode(self) -> bytes:
        name = self.client_id.encode()
        return _HEADER.pack(API_KEY, API_VERSION, self.correlation_id, len(name)) + name


class Placed(NamedTuple):
    """Hold the broker's answer for one partition: an error code, or 0 and the first offset."""

    error: int
    offset: int


class Answer(dict[TopicPartition, Placed]):
    """Hold the broker's answer for each partition."""

    @classmethod
    def decode(cls, body: BytesIO) -> Answer:
        """Return the answer that these bytes hold. Raises: struct.error for too few bytes."""
        answer, data = cls(), body.read()
        topics, at = _ARRAY.unpack_from(data)[0], _ARRAY.size
        for _ in range(topics):
            length, at = _TEXT.unpack_from(data, at)[0], at + _TEXT.size
            topic, at = data[at : at + length].decode(), at + length
            parts, at = _ARRAY.unpack_from(data, at)[0], at + _ARRAY.size
            for _ in range(parts):
                partition, error, offset, _, _ = _PLACED.unpack_from(data, at)
                answer[TopicPartition(topic, partition)] = Placed(error, offset)
                at += _PLACED.size
        return answer


class Produce:
    """Ask for batches of records to be appended, each to its partition, on all in-sync replicas.

    The object takes the place of aiokafka's `ProduceRequest`: aiokafka's connection calls the
    methods, in the order in which they stand here.
    """

    RESPONSE_TYPE = Answer

    def __init__(self, batches: Mapping[TopicPartition, bytes], *, timeout_ms: int) -> None:
        self._batches = batches
        self._timeout_ms = timeout_ms

    def prepare(self, versions: Mapping[int, tuple[int, int]]) -> Produce:
        """Return the request as this broker takes it.

        `versions`: the lowest and the highest version of each API of the broker.
        Raises: IncompatibleBrokerVersion.
        """
        lowest, highest = versions.get(API_KEY, (0, 0))
        if not lowest <= API_VERSION <= highest:
            raise IncompatibleBrokerVersion(f"the broker takes no version {API_VERSION} of Produce")
        return self

    def build_request_header(self, correlation_id: int, client_id: str) -> Header:
        return Header(correlation_id, client_id)

    def encode(self) -> bytes:
        topics: dict[str, list[bytes]] = {}
        for (topic, partition), data in self._batches.items():
            topics.setdefault(topic, []).extend((_PART.pack(partition, len(data)), data))
        encoded = [_SETTINGS.pack(ABSENT, ALL_REPLICAS, self._timeout_ms, len(topics))]
        for topic, parts in topics.items():
            name = topic.encode()
            encoded += (_TEXT.pack(len(name)), name, _ARRAY.pack(len(parts) // 2), *parts)
        return b"".join(encoded)

    def parse_response_header(self, answer: BytesIO) -> Header:
        return Header(*_CORRELATION.unpack(answer.read(_CORRELATION.size)))
