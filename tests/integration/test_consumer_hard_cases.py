"""Test the consumer with poison, repeats, replays, and partitions that move.

The tests run on real Kafka, real Redis, and the database of the settings in force.
"""

from __future__ import annotations

import asyncio
import json
import random
from collections.abc import AsyncIterator, Sequence
from typing import Any

import pytest
import redis
from kafka import TopicPartition
from kafka.structs import OffsetAndMetadata
from pytest_django import Settings

from messaging.domain.events import encode_event
from messaging.domain.message import Message
from messaging.models import DeadLetter
from messaging.pipeline.consumer import Consumer, TooManyDeadLetters
from messaging.ports.store import ApplyResult
from tests.integration.pipeline import PARTITIONS, Pipeline, pipeline
from tests.support.messages import make_message
from tests.support.real_services import connected

pytestmark = [pytest.mark.connected, pytest.mark.django_db(transaction=True)]

BUDGET = 20  # dead letters in a row


@pytest.fixture
async def pipe(
    redis_url: str, settings: Settings, transactional_db: None
) -> AsyncIterator[Pipeline]:
    address = connected("IM_EVENT_LOG_URL")
    ours = {"redis_url": redis_url, "dead_letters_in_a_row": BUDGET, "consumer_batch": 200}
    async with pipeline(address, settings, **ours) as opened:
        yield opened


def messages(numbers: range) -> list[Message]:
    return [make_message(n, to_id=2 + n % 7, client_msg_id=f"k{n}") for n in numbers]


def altered(message: Message, **fields: Any) -> bytes:
    """Return the record of this message with other fields."""
    return json.dumps(json.loads(encode_event(message)) | fields).encode()


GOOD = make_message(1_000_000)
UNREADABLE: dict[str, bytes] = {
    "no JSON": b"\x00\xff poison",
    "cut": encode_event(GOOD)[:-20],
    "empty": b"",
    "another schema": b'{"action": "PERSIST", "v": 1}',
    "a version that never was": altered(GOOD, v=0),
    "not a number": altered(GOOD, sendTime=float("nan")),
    "deep": b"[" * 100_000,
    "no UTF-8": encode_event(GOOD).replace(b"message", b"\xed\xa0\x80"),
    "large": b"x" * 999_900,  # its dead letter is larger than a record may be
}
REFUSED: dict[str, bytes] = {
    "a long conversation id": altered(GOOD, messageId="1000001", conversationId="1" * 65),
    "a long key": altered(GOOD, messageId="1000002", clientMsgId="k" * 65),
    "a long address": altered(GOOD, messageId="1000004", url="/" * 3_000),
    "many to notify": altered(GOOD, messageId="1000005", atUserIds=["9" * 18] * 4_000),
    "a long hash": altered(GOOD, messageId="1000006", bodyHash="0" * 40),
}


async def dead_letters() -> list[DeadLetter]:
    return await asyncio.to_thread(lambda: list(DeadLetter.objects.order_by("id")))


def dead_in_topic(pipe: Pipeline) -> int:
    return sum(pipe.ends(f"{pipe.topic}-dead").values())


class TestPoison:
    async def test_keeps_none_of_its_neighbours_waiting(self, pipe: Pipeline) -> None:
        poison = list((UNREADABLE | REFUSED).values())
        sent = messages(range(len(poison) * 20))
        consumer = pipe.consumer()
        async with pipe.running(consumer):
            await pipe.accept(sent[:20])
            await pipe.await_drained()
            for number, value in enumerate(poison[1:], start=1):
                await pipe.append_values(("1_2", value))
                await pipe.accept(sent[20 * number : 20 * number + 20])
            await pipe.append_values(("1_2", poison[0]))
            await pipe.await_drained(within_s=10)
        await pipe.check_stored(sent)
        letters = await dead_letters()
        assert sorted(bytes(letter.value) for letter in letters) == sorted(poison)
        assert dead_in_topic(pipe) == len(poison)

    async def test_alone_stops_the_consumer_before_it_fills_the_dead_letters(
        self, pipe: Pipeline
    ) -> None:
        consumer = pipe.consumer()
        await pipe.append_values(*((f"key {n}", b"poison %d" % n) for n in range(10 * BUDGET)))
        with pytest.raises(TooManyDeadLetters):
            await asyncio.wait_for(consumer.run(), 20)
        assert dead_in_topic(pipe) <= BUDGET
        assert len(await dead_letters()) <= BUDGET
        assert await pipe.lag() >= 9 * BUDGET

    async def test_waits_for_the_topic_of_dead_letters(self, pipe: Pipeline) -> None:
        sent = messages(range(40))
        consumer = pipe.consumer()
        async with pipe.running(consumer):
            await pipe.accept(sent[:20])
            await pipe.await_drained()
            pipe.admin.delete_topics([f"{pipe.topic}-dead"])
            await pipe.append_values(("1_2", b"poison"))
            await pipe.accept(sent[20:])
            await asyncio.sleep(3)
            assert await pipe.lag()
            assert await dead_letters() == []
            pipe.make_topics()
            await pipe.await_drained()
        await pipe.check_stored(sent)
        assert len(await dead_letters()) == dead_in_topic(pipe) == 1


class TestPartitionsThatMove:
    async def test_in_mid_batch_lose_and_repeat_nothing(self, pipe: Pipeline) -> None:
        """Members come and go under load, each with batches that are not committed."""
        sent: list[Message] = []

        async def load() -> None:
            for first in range(0, 4_000, 100):
                await pipe.accept(messages(range(first, first + 100)))
                sent.extend(messages(range(first, first + 100)))
                await asyncio.sleep(0.05)

        loading = asyncio.create_task(load())
        async with pipe.running(pipe.consumer()):
            async with pipe.running(pipe.consumer()):
                await asyncio.sleep(0.7)
                async with pipe.running(pipe.consumer()):
                    await asyncio.sleep(0.7)
                await asyncio.sleep(0.3)
            await loading
            await pipe.await_drained()
        await pipe.check_stored(sent)
        assert await dead_letters() == []

    @pytest.mark.parametrize("where", ["before it stores", "after it has stored"])
    async def test_leave_a_consumer_that_was_silent_nothing_to_change(
        self, pipe: Pipeline, where: str
    ) -> None:
        """The consumer is silent past `max.poll.interval.ms`, and another stores its batch."""
        sent = messages(range(60))
        recalled = sent[5].recalled(sent[5].send_time + 1)
        zombie = pipe.consumer()
        apply, silent, wakes = zombie.store.apply, asyncio.Event(), asyncio.Event()

        async def silent_apply(batch: Sequence[Message], *, hinted: bool) -> ApplyResult:
            done = await apply(batch, hinted=hinted) if where == "after it has stored" else None
            silent.set()
            await wakes.wait()
            return done or await apply(batch, hinted=hinted)

        async def say_nothing() -> None:
            await wakes.wait()

        zombie.store.apply = silent_apply  # type: ignore[method-assign]
        zombie.reader.keep_alive = say_nothing  # type: ignore[method-assign]
        await pipe.accept(sent)
        step = asyncio.create_task(first_step(zombie))
        await silent.wait()
        successor = pipe.consumer()
        async with pipe.running(successor):
            await pipe.append(recalled)
            await pipe.await_drained()
            committed = pipe.committed()
            wakes.set()
            await asyncio.wait_for(step, 20)
            assert pipe.committed() == committed
            assert await pipe.cache.pending_count() == 0
        expected = [*sent[:5], recalled, *sent[6:]]
        await pipe.check_stored(expected)
        assert [m.content for m in (await pipe.cache.get([recalled.id])).values()] == [""]


class TestRepeats:
    async def test_of_the_whole_log_change_nothing(self, pipe: Pipeline, redis_url: str) -> None:
        sent = messages(range(300))
        recalled = [m.recalled(m.send_time + 1) for m in sent[::10]]
        await pipe.accept(sent)
        await pipe.append_values(("1_2", b"poison"), ("1_2", REFUSED["a long hash"]))
        await pipe.append(*recalled)
        repeats = [make_message(n + 500, to_id=2 + n % 7, client_msg_id=f"k{n}") for n in range(20)]
        async with pipe.running(pipe.consumer()):
            await pipe.append(*(r for r in repeats))
            await pipe.await_drained()
        before = (await everything_stored(pipe), cached(redis_url))
        await asyncio.to_thread(reset_offsets, pipe)
        assert await pipe.lag() > 300
        async with pipe.running(pipe.consumer()):
            await pipe.await_drained()
        assert (await everything_stored(pipe), cached(redis_url)) == before

    async def test_of_each_record_wherever_they_come_from_change_nothing(
        self, pipe: Pipeline
    ) -> None:
        """Each record comes three times, in any order and partition, to two consumers at once."""
        shuffle = random.Random(7)
        sent = messages(range(400))
        final = [m.recalled(m.send_time + 1) if m.id % 5 == 0 else m for m in sent]
        events = [*sent, *(m for m in final if m.is_recalled)] * 3
        shuffle.shuffle(events)
        await pipe.cache.accept(sent, None)
        async with pipe.running(pipe.consumer()), pipe.running(pipe.consumer()):
            for first in range(0, len(events), 50):
                part = events[first : first + 50]
                await pipe.append_values(*((str(shuffle.random()), encode_event(m)) for m in part))
            await pipe.await_drained()
        await pipe.check_stored(final)
        assert await dead_letters() == []
        found = await pipe.cache.get([m.id for m in final])
        assert {m.id for m in found.values() if m.is_recalled} == {
            m.id for m in final if m.is_recalled
        }


async def first_step(consumer: Consumer) -> None:
    """Step until there was a batch; a consumer that is not yet in the group gets none."""
    while not await consumer.step():
        continue


async def everything_stored(pipe: Pipeline) -> object:
    rows = [await pipe.store.page(f"1_{other}", before=None, limit=1_000) for other in range(2, 9)]
    tails = [(await pipe.store.tail(f"1_{other}", limit=1)).total for other in range(2, 9)]
    letters = [(d.partition, d.offset, bytes(d.value), d.state) for d in await dead_letters()]
    return rows, tails, letters


def cached(url: str) -> dict[bytes, object]:
    """Return the keys and values that Redis holds of messages, without their TTLs."""
    with redis.Redis.from_url(url) as client:
        names = sorted(client.scan_iter("msg:*"))
        return {name: client.dump(name) for name in names}


def reset_offsets(pipe: Pipeline) -> None:
    start = {TopicPartition(pipe.topic, p): OffsetAndMetadata(0, "", -1) for p in range(PARTITIONS)}
    pipe.admin.alter_group_offsets(pipe.topic, start)
