"""Test the consumer with several batches at once: overlap, bounds, and the order of commits."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import Any

import pytest

from messaging.domain.backend_errors import CacheUnavailable
from messaging.domain.events import decode_event, encode_event
from messaging.domain.message import Message, Recall
from messaging.pipeline.consumer import IN_HAND, Consumer, TooManyDeadLetters
from messaging.ports.log import OutgoingRecord, Record
from messaging.testing.log import MemoryLogReader
from tests.support.memory import SETTINGS, MemoryService, message

BATCH = 10


class Port:
    """Wrap a port, count its calls, and make them wait on demand."""

    def __init__(self, port: object, *, before: Callable[[str], Any] | None = None) -> None:
        self._port = port
        self._before = before
        self.held: dict[str, asyncio.Event] = {}
        self.begun: dict[str, int] = {}

    def hold(self, name: str) -> asyncio.Event:
        """Make calls of this name wait until the returned event is set."""
        return self.held.setdefault(name, asyncio.Event())

    def __getattr__(self, name: str) -> Any:
        method = getattr(self._port, name)

        async def call(*args: Any, **options: Any) -> Any:
            self.begun[name] = self.begun.get(name, 0) + 1
            if self._before is not None:
                await self._before(name)
            if name in self.held:
                await self.held[name].wait()
            return await method(*args, **options)

        return call


@pytest.fixture
def service() -> MemoryService:
    return MemoryService(replace(SETTINGS, consumer_batch=BATCH))


async def append(service: MemoryService, *values: bytes, key: bytes = b"1_2") -> None:
    records = [OutgoingRecord(key=key, value=value) for value in values]
    for future in await service.log.append(service.settings.topic, records):
        await future


async def accepted(service: MemoryService, count: int) -> list[Message]:
    """Accept new messages in the cache and append them to the log; return them."""
    sent = [message(f"{n}") for n in range(count)]
    await service.cache.accept(sent, None)
    await append(service, *(encode_event(one) for one in sent))
    return sent


def committed(service: MemoryService) -> int:
    return sum(service.broker.committed.values())


async def until(condition: Callable[[], bool], *, within_s: float = 5.0) -> None:
    async with asyncio.timeout(within_s):
        while not condition():
            await asyncio.sleep(0.002)


async def settled(read: Callable[[], object]) -> object:
    """Return the value once it has not changed for a while."""
    shown = None
    while shown != (shown := read()):
        await asyncio.sleep(0.1)
    return shown


@asynccontextmanager
async def running(consumer: Consumer) -> AsyncIterator[asyncio.Task[None]]:
    run = asyncio.create_task(consumer.run())
    try:
        yield run
    finally:
        consumer.stop.set()
        await asyncio.wait([run], timeout=5)


def watched(service: MemoryService, **ports: object) -> Consumer:
    return replace(service.consumer, **ports)  # type: ignore[arg-type]


class TestReading:
    async def test_goes_on_while_a_batch_is_stored_but_not_without_bound(
        self, service: MemoryService
    ) -> None:
        sent = await accepted(service, 20 * BATCH)
        reader, store = Port(service.consumer.reader), Port(service.store)
        go_on = store.hold("apply")

        async with running(watched(service, reader=reader, store=store)):
            await until(lambda: reader.begun.get("poll") == IN_HAND)
            assert await settled(lambda: reader.begun["poll"]) == IN_HAND
            assert (store.begun["apply"], committed(service)) == (1, 0)
            go_on.set()
            await until(lambda: committed(service) == len(sent))

    async def test_goes_on_while_the_cache_is_slow(self, service: MemoryService) -> None:
        await accepted(service, 20 * BATCH)
        store, cache = Port(service.store), Port(service.cache)
        go_on = cache.hold("mark_stored")

        async with running(watched(service, store=store, cache=cache)):
            await until(lambda: store.begun.get("apply") == IN_HAND)
            assert await settled(lambda: store.begun["apply"]) == IN_HAND
            assert (cache.begun["mark_stored"], committed(service)) == (1, 0)
            go_on.set()
            await until(lambda: committed(service) == 20 * BATCH)

    async def test_keeps_the_membership_while_all_it_may_hold_is_held(
        self, service: MemoryService
    ) -> None:
        service.broker.max_poll_interval_s = 1.5
        sent = await accepted(service, 5 * BATCH)
        store = Port(service.store)
        go_on = store.hold("apply")
        other = MemoryLogReader(
            service.broker, topic=service.settings.topic, group=service.settings.consumer_group
        )

        async with running(watched(service, store=store)):
            await until(lambda: store.begun.get("apply") == 1)
            await asyncio.sleep(2.5)
            assert await other.poll(max_records=100, timeout_s=0) == []
            await other.close()
            go_on.set()
            await until(lambda: committed(service) == len(sent))

    async def test_begins_at_once_and_then_gathers(self, service: MemoryService) -> None:
        service = service.restarted_with(consumer_interval_s=0.4, consumer_poll_s=0.2)
        store = Port(service.store)

        async with running(watched(service, store=store)):
            await asyncio.sleep(0.5)
            await accepted(service, 1)
            await until(lambda: len(service.store.rows) == 1, within_s=0.3)
            for _ in range(30):
                await accepted(service, 1)
                await asyncio.sleep(0.01)
            await until(lambda: committed(service) == 31)
        assert store.begun["apply"] <= 5

    async def test_of_full_batches_waits_for_nothing(self, service: MemoryService) -> None:
        service = service.restarted_with(consumer_interval_s=60.0)
        await accepted(service, 30 * BATCH)

        async with running(service.consumer):
            await until(lambda: committed(service) == 30 * BATCH)


class Watchful(MemoryLogReader):
    """Refuse a commit past a message that is not stored, or not marked in the cache."""

    service: MemoryService
    commits = 0

    async def commit(self, last: Mapping[int, Record]) -> None:
        for partition, record in last.items():
            upto = int(record.position.offset) + 1
            kept = self.service.broker.records[self.service.settings.topic, partition]
            ids = {decode_event(one.value).id for one in kept[:upto]}
            assert ids <= self.service.store.rows.keys(), "committed before it was stored"
            pending = self.service.cache.pending_set.times.keys()
            assert not ids & pending, "committed before it was marked"
        self.commits += 1
        await super().commit(last)


class TestOrder:
    @pytest.mark.parametrize("seed", range(10))
    async def test_no_position_is_committed_before_its_records_are_stored_and_marked(
        self, service: MemoryService, seed: int
    ) -> None:
        chance = random.Random(seed)
        reader = Watchful(
            service.broker, topic=service.settings.topic, group=service.settings.consumer_group
        )
        reader.service = service

        async def dawdle(name: str) -> None:
            await asyncio.sleep(chance.choice((0, 0, 0.002, 0.01)))
            if name == "mark_stored" and chance.random() < 0.1:
                raise CacheUnavailable

        sent: list[Message] = []
        for _ in range(40):
            some = [message() for _ in range(chance.randrange(1, BATCH))]
            await service.cache.accept(some, None)
            await append(service, *(encode_event(m) for m in some), key=b"%d" % chance.randrange(9))
            sent += some
        store, cache = (Port(each, before=dawdle) for each in (service.store, service.cache))

        async with running(watched(service, reader=reader, store=store, cache=cache)) as run:
            await until(lambda: run.done() or committed(service) == len(sent), within_s=20)
        await run
        assert reader.commits > 5
        assert sorted(service.store.rows) == sorted(m.id for m in sent)
        assert service.cache.pending_set.times == {}

    async def test_a_batch_that_is_done_waits_for_the_one_before(
        self, service: MemoryService
    ) -> None:
        """The batch's rows are stored; a commit of its position would skip the earlier mark."""
        await accepted(service, 3 * BATCH)
        cache = Port(service.cache)
        go_on = cache.hold("mark_stored")

        async with running(watched(service, cache=cache)):
            await until(lambda: len(service.store.rows) == 3 * BATCH)
            await asyncio.sleep(0.05)
            assert committed(service) == 0
            go_on.set()
            await until(lambda: committed(service) == 3 * BATCH)

    async def test_while_the_cache_is_away_it_stores_on_and_commits_later(
        self, service: MemoryService
    ) -> None:
        sent = await accepted(service, 8 * BATCH)
        service.cache.down = True

        async with running(service.consumer):
            await until(lambda: len(service.store.rows) == len(sent))
            await asyncio.sleep(0.05)
            assert committed(service) == 0
            service.cache.down = False
            await until(lambda: committed(service) == len(sent))
        assert service.cache.pending_set.times == {}

    async def test_a_recall_during_an_outage_of_the_store_is_what_is_stored_after_it(
        self, service: MemoryService
    ) -> None:
        (sent,) = await accepted(service, 1)
        service.store.down = True

        async with running(service.consumer):
            await asyncio.sleep(0.1)
            await service.cache.set_recall_mark(sent.id, Recall(sent.send_time + 1))
            service.store.down = False
            await until(lambda: sent.id in service.store.rows)
        assert service.store.rows[sent.id].content == ""


class TestRebalance:
    async def test_with_several_batches_in_hand_loses_and_repeats_nothing(
        self, service: MemoryService
    ) -> None:
        sent = [message(f"{n}") for n in range(12 * BATCH)]
        await service.cache.accept(sent, None)
        for n, one in enumerate(sent):
            await append(service, encode_event(one), key=b"%d" % (n % 40))
        store = Port(service.store)
        go_on = store.hold("apply")
        first, second = watched(service, store=store), service.new_consumer()

        async with running(first):
            await until(lambda: store.begun.get("apply") == 1)
            async with running(second):
                await until(lambda: len(service.store.rows) > BATCH)
                go_on.set()
                await until(lambda: committed(service) == len(sent))
        assert sorted(service.store.rows) == [m.id for m in sent]
        assert sorted(row.seq or 0 for row in service.store.rows.values()) == list(
            range(1, len(sent) + 1)
        )
        assert service.cache.pending_set.times == {}


@pytest.mark.alone
class TestStop:
    async def test_finishes_what_is_being_stored_and_drops_what_is_not(
        self, service: MemoryService
    ) -> None:
        sent = await accepted(service, 5 * BATCH)
        reader, store = Port(service.consumer.reader), Port(service.store)
        go_on = store.hold("apply")
        consumer = watched(service, reader=reader, store=store)

        async with running(consumer) as run:
            await until(lambda: reader.begun.get("poll") == IN_HAND)
            consumer.stop.set()
            go_on.set()
            await asyncio.wait_for(run, 2)
        assert list(service.store.rows) == [m.id for m in sent[:BATCH]]
        assert committed(service) == BATCH
        assert len(await service.cache.pending(before_ms=2**60, limit=99)) == 4 * BATCH

    async def test_commits_the_only_batch_when_it_is_stored(self, service: MemoryService) -> None:
        await accepted(service, 1)
        store = Port(service.store)
        go_on = store.hold("apply")
        consumer = watched(service, store=store)

        async with running(consumer) as run:
            await until(lambda: store.begun.get("apply") == 1)
            consumer.stop.set()
            await asyncio.sleep(0.1)
            go_on.set()
            await asyncio.wait_for(run, 2)
        assert committed(service) == 1

    async def test_during_an_outage_drops_everything_at_once(self, service: MemoryService) -> None:
        await accepted(service, 5 * BATCH)
        reader = Port(service.consumer.reader)
        service.store.down = True
        consumer = watched(service, reader=reader)

        async with running(consumer) as run:
            await until(lambda: reader.begun.get("poll") == IN_HAND)
            consumer.stop.set()
            await asyncio.wait_for(run, 2)
        assert committed(service) == 0


class TestTooManyDeadLetters:
    async def test_leave_the_batches_before_committed_and_those_behind_untouched(
        self, service: MemoryService
    ) -> None:
        good = await accepted(service, BATCH)
        await append(service, *[b"poison"] * BATCH)
        behind = await accepted(service, BATCH)
        store = Port(service.store)
        go_on = store.hold("apply")
        reader = Port(service.consumer.reader)

        async with running(watched(service, store=store, reader=reader)) as run:
            await until(lambda: reader.begun.get("poll") == IN_HAND)
            go_on.set()
            with pytest.raises(TooManyDeadLetters):
                await asyncio.wait_for(run, 5)
        assert list(service.store.rows) == [m.id for m in good]
        assert (committed(service), service.store.dead_letters) == (BATCH, [])
        assert set(service.cache.pending_set.times) == {m.id for m in behind}

    async def test_are_counted_over_batches(self, service: MemoryService) -> None:
        await append(service, *[b"poison"] * 2)
        await service.consume()
        await append(service, *[b"poison"] * 2)
        with pytest.raises(TooManyDeadLetters):
            await service.consumer.run()
        assert (committed(service), len(service.store.dead_letters)) == (2, 2)

    async def test_are_counted_anew_after_something_was_stored(
        self, service: MemoryService
    ) -> None:
        await append(service, *[b"poison"] * 2)
        await service.consume()
        await accepted(service, 1)
        await service.consume()
        await append(service, *[b"poison"] * 2)
        await service.consume()
        assert (committed(service), len(service.store.dead_letters)) == (5, 4)

    async def test_do_not_count_what_holds_nothing(self, service: MemoryService) -> None:
        await append(service, *[b""] * 9)
        await service.consume()
        assert (committed(service), len(service.store.dead_letters)) == (9, 9)
