"""Test that the records of one partition leave in the order in which they were handed over."""

from __future__ import annotations

import asyncio

from aiokafka.structs import TopicPartition

from messaging.eventlog.kafka.batch import BATCH_BYTES
from messaging.eventlog.kafka.lane import Lane
from messaging.ports.log import Confirmation, OutgoingRecord

SMALL = OutgoingRecord(b"1_2", b"x")
LARGE = OutgoingRecord(b"1_2", b"x" * BATCH_BYTES)


async def test_each_caller_in_turn_says_that_a_batch_waits() -> None:
    filled: list[bool] = []
    lane = Lane(TopicPartition("topic", 0), lambda batch: None, lambda: filled.append(True))
    sent: list[Confirmation] = []
    await lane.take_in_turn([SMALL], sent)
    assert (len(sent), filled, lane.is_due) == (1, [True], True)


async def test_a_later_caller_waits_for_the_earlier_one() -> None:
    lane = Lane(TopicPartition("topic", 0), lambda batch: None, lambda: None)
    first: list[Confirmation] = []
    second: list[Confirmation] = []
    earlier = asyncio.create_task(lane.take_in_turn([LARGE, LARGE], first))
    await asyncio.sleep(0)
    lane.take([SMALL], second)
    assert (len(first), second) == (1, [])
    lane.next()
    await earlier
    assert len(first) == 2
