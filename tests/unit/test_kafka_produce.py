"""Test that appends are encoded, and their answers decoded, as aiokafka does both."""

from __future__ import annotations

import io
import struct

import pytest
from aiokafka.errors import IncompatibleBrokerVersion
from aiokafka.protocol.api import RequestHeader_v1
from aiokafka.protocol.produce import ProduceRequest_v7, ProduceResponse_v7
from aiokafka.structs import TopicPartition
from hypothesis import given
from hypothesis import strategies as st

from messaging.eventlog.kafka.produce import Answer, Placed, Produce

INT16, INT32 = (st.integers(-(2 ** (bits - 1)), 2 ** (bits - 1) - 1) for bits in (16, 32))
INT64 = st.integers(-(2**63), 2**63 - 1)
TOPICS = st.text(max_size=30)
PARTITIONS = st.integers(0, 2**31 - 1)
APPENDS = st.dictionaries(
    TOPICS, st.dictionaries(PARTITIONS, st.binary(max_size=60), min_size=1), max_size=4
)
ANSWERS = st.dictionaries(
    TOPICS, st.dictionaries(PARTITIONS, st.tuples(INT16, INT64, INT64, INT64)), max_size=4
)


def by_place(nested: dict[str, dict[int, bytes]]) -> dict[TopicPartition, bytes]:
    return {TopicPartition(t, p): data for t, parts in nested.items() for p, data in parts.items()}


@given(appends=APPENDS, timeout_ms=PARTITIONS)
def test_a_request_is_aiokafkas(appends: dict[str, dict[int, bytes]], timeout_ms: int) -> None:
    topics = [(topic, list(parts.items())) for topic, parts in appends.items()]
    theirs = ProduceRequest_v7(None, -1, timeout_ms, topics)
    assert Produce(by_place(appends), timeout_ms=timeout_ms).encode() == theirs.encode()


@given(correlation_id=PARTITIONS, client_id=TOPICS)
def test_a_header_is_aiokafkas(correlation_id: int, client_id: str) -> None:
    header = Produce({}, timeout_ms=0).build_request_header(correlation_id, client_id)
    theirs = RequestHeader_v1(ProduceRequest_v7(None, -1, 0, []), correlation_id, client_id)
    assert header.encode() == theirs.encode()


@given(placed=ANSWERS, correlation_id=INT32, throttle_ms=INT32)
def test_an_answer_is_read_as_aiokafka_writes_it(
    placed: dict[str, dict[int, tuple[int, int, int, int]]], correlation_id: int, throttle_ms: int
) -> None:
    topics = [(t, [(p, *values) for p, values in parts.items()]) for t, parts in placed.items()]
    body = ProduceResponse_v7(topics, throttle_ms).encode()
    answer = io.BytesIO(struct.pack(">i", correlation_id) + body)
    header = Produce({}, timeout_ms=0).parse_response_header(answer)
    assert header.correlation_id == correlation_id
    assert Answer.decode(answer) == {
        TopicPartition(topic, partition): Placed(error, offset)
        for topic, parts in placed.items()
        for partition, (error, offset, _, _) in parts.items()
    }


def test_an_answer_that_ends_early_is_refused() -> None:
    whole = ProduceResponse_v7([("topic", [(0, 0, 1, 2, 3)])], 0).encode()
    placed_ends = len(whole) - 4  # the throttle time, which is not read
    for length in range(placed_ends):
        with pytest.raises(struct.error):
            Answer.decode(io.BytesIO(whole[:length]))


@pytest.mark.parametrize("versions", [{}, {1: (0, 9)}, {0: (0, 6)}, {0: (8, 9)}])
def test_a_broker_without_this_version_is_refused(versions: dict[int, tuple[int, int]]) -> None:
    with pytest.raises(IncompatibleBrokerVersion, match="version 7"):
        Produce({}, timeout_ms=0).prepare(versions)


@pytest.mark.parametrize("range_", [(0, 7), (3, 13), (7, 7)])
def test_a_broker_with_this_version_gets_the_request(range_: tuple[int, int]) -> None:
    request = Produce({}, timeout_ms=0)
    assert request.prepare({0: range_}) is request
