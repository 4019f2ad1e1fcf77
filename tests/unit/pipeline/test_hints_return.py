"""Check how a process uses the cache again: after its return, and after a restart."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import pytest

from messaging.domain.backend_errors import CacheUnavailable
from messaging.domain.breakers import State
from messaging.domain.errors import (
    MessageNotFound,
    SendFailed,
    TemporarilyUnavailable,
)
from messaging.pipeline.keeping import RecentWrites, size_bytes
from messaging.pipeline.queued_send import Durability
from messaging.ports.cache_service import RECOVERS_S
from messaging.service.delete import delete
from messaging.service.fetch import fetch
from messaging.service.history import history
from messaging.service.recall import recall
from messaging.service.send import send
from tests.support.memory import ALICE, BOB, SETTINGS, MemoryService, message, to_bob, with_bob
from tests.unit.pipeline.outages import Replaced, listed, lose, newest, regain, with_secret


@pytest.fixture
async def service() -> MemoryService:
    return await with_secret()


class TestWhatTheCacheWasTold:
    async def test_takes_no_more_memory_than_is_allowed(self) -> None:
        told, large = RecentWrites(most_bytes=100_000), message("x" * 16_000)
        fits = [told.put(n, [large], keep_from_s=0) for n in range(1, 9)]
        assert fits == [True] * 5 + [False] * 3
        assert told.bytes <= 100_000
        assert len(list(told.since(0))) == 5
        assert told.put(10, [message()], keep_from_s=10)
        assert told.bytes == size_bytes(message())

    async def test_is_kept_for_a_while_however_much_one_telling_is(self) -> None:
        told, large = RecentWrites(most_bytes=100), message("x" * 16_000)
        assert not told.put(1, [large], keep_from_s=0)
        assert list(told.since(0)) == [large]


class TestTheReturn:
    async def test_waits_for_what_the_store_was_told(self, service: MemoryService) -> None:
        message_id = await newest(service)
        lose(service)
        await recall(service.backends, message_id, user_id=ALICE)
        service.store.down = True
        service.cache.down = False
        assert not await service.hints.breaker.try_now()
        with pytest.raises(TemporarilyUnavailable):
            await listed(service)

    async def test_does_not_when_the_store_was_away_all_the_time(
        self, service: MemoryService
    ) -> None:
        service.store.breaker.state = State.OPEN
        service.store.down = True
        lose(service)
        await regain(service)
        service.cache.complete_from_s -= RECOVERS_S
        assert await listed(service) == ["secret"]

    async def test_is_told_to_readers_for_a_moment(self, service: MemoryService) -> None:
        lose(service)
        await regain(service)
        page = await history(service.backends, with_bob(), reader_id=ALICE)
        assert page.partial


class TestRecallsThatTheStoreLacks:
    """The cache and the log acknowledged the recalls while the store was away."""

    async def test_are_not_undone_by_readers_without_the_cache(
        self, service: MemoryService
    ) -> None:
        message_id = await newest(service)
        service.store.down = True
        await recall(service.backends, message_id, user_id=ALICE)
        service.store.down = False
        service.store.breaker.state = State.OPEN
        assert await listed(service) == [""]
        lose(service)
        with pytest.raises(TemporarilyUnavailable):
            await listed(service)
        with pytest.raises(TemporarilyUnavailable):
            await fetch(service.backends, message_id, reader_id=BOB)


class TestAProcess:
    async def test_that_has_died_may_have_owed_something(self, service: MemoryService) -> None:
        """A message that only the log took is shown once the consumer has come to its record."""
        service.hints.watch(name="a")
        await service.hints.heartbeat()
        lose(service)
        await send(service.backends, to_bob("second"), sender_id=ALICE)
        other = service.restarted_with()
        service.cache.down = False
        service.cache.heartbeats["a"] -= 1
        await other.hints.heartbeat()
        page = await history(other.backends, with_bob(), reader_id=ALICE)
        assert [message.content for message in page.messages] == ["secret"]
        assert page.partial

    async def test_that_has_lost_the_cache_is_not_there(self, service: MemoryService) -> None:
        service.hints.watch(name="a")
        await service.hints.breaker.try_now()
        assert service.cache.heartbeats == {}

    @pytest.mark.parametrize("has_hints", [False, True])
    async def test_that_ends_is_missed_only_if_it_owes_something(
        self, service: MemoryService, has_hints: bool
    ) -> None:
        service.hints.watch(name="a")
        await service.hints.heartbeat()
        if has_hints:
            lose(service)
            await send(service.backends, to_bob("second"), sender_id=ALICE)
            service.cache.down = False
        await service.hints.leave()
        assert bool(service.cache.heartbeats) == has_hints


@pytest.mark.alone
class TestTheTime:
    async def test_of_a_send_is_bounded_whatever_hangs(self, service: MemoryService) -> None:
        service = service.restarted_with(send_timeout_s=0.3)
        loop = asyncio.get_running_loop()
        service.acceptor.commit.cache = Replaced(service.cache, accept=hang)  # type: ignore[assignment]
        service.store.delay_s = 10
        service.broker.down = True
        began_s = loop.time()
        with pytest.raises(SendFailed):
            await send(service.backends, to_bob("second"), sender_id=ALICE)
        assert loop.time() - began_s < 5

    async def test_of_a_send_is_not_that_of_the_group_before(self) -> None:
        service = MemoryService(replace(SETTINGS, send_timeout_s=0.6, accept_group=1))
        accept = service.cache.accept
        held = asyncio.Event()

        async def hold_the_first(*args, **kwargs):  # type: ignore[no-untyped-def]
            if not held.is_set():
                held.set()
                await asyncio.sleep(10)
            return await accept(*args, **kwargs)

        service.acceptor.commit.cache = Replaced(service.cache, accept=hold_the_first)  # type: ignore[assignment]
        first = asyncio.create_task(send(service.backends, to_bob(), sender_id=ALICE))
        await held.wait()
        receipt = await send(service.backends, to_bob(), sender_id=ALICE)
        assert receipt.durability is Durability.LOG
        assert not first.done()
        with pytest.raises(SendFailed):
            await first


async def hang(*args: object, **kwargs: object) -> None:
    await asyncio.sleep(10)


class TestARestart:
    """The cache is killed, and its file lacks the newest writes."""

    @pytest.fixture
    def file(self, service: MemoryService) -> Mapping[str, Any]:
        return service.cache.file()

    async def test_forgets_no_delete(self, service: MemoryService, file: Mapping[str, Any]) -> None:
        message_id = await newest(service)
        await fetch(service.backends, message_id, reader_id=BOB)
        file = service.cache.file()  # in this file bob is known to have no deletes
        await delete(service.backends, message_id, user_id=BOB)
        await restart(service, file)
        with pytest.raises(MessageNotFound):
            await fetch(service.backends, message_id, reader_id=BOB)

    async def test_forgets_no_recall(self, service: MemoryService, file: Mapping[str, Any]) -> None:
        message_id = await newest(service)
        await recall(service.backends, message_id, user_id=ALICE)
        await restart(service, file)
        assert (await fetch(service.backends, message_id, reader_id=BOB)).content == ""
        assert await listed(service) == [""]

    async def test_forgets_no_recall_of_what_is_pending(self, service: MemoryService) -> None:
        receipt = await send(service.backends, to_bob("second"), sender_id=ALICE)
        file = service.cache.file()
        await recall(service.backends, receipt.message_id, user_id=ALICE)
        await restart(service, file)
        assert (await fetch(service.backends, receipt.message_id, reader_id=BOB)).content == ""

    async def test_forgets_no_recall_that_only_the_log_has(
        self, service: MemoryService, file: Mapping[str, Any]
    ) -> None:
        message_id = await newest(service)
        service.store.down = True
        await recall(service.backends, message_id, user_id=ALICE)
        service.store.down = False
        await restart(service, file)
        assert (await fetch(service.backends, message_id, reader_id=BOB)).content == ""
        await service.consume()
        assert service.cache.marks == {}

    async def test_keeps_no_mark_of_a_recall_that_is_stored(self, service: MemoryService) -> None:
        message_id = await newest(service)
        service.store.down = True
        await recall(service.backends, message_id, user_id=ALICE)
        service.store.down = False
        file = service.cache.file()
        await service.consume()
        other = service.restarted_with()  # this process knows of no recall
        await restart(other, file)
        assert service.cache.marks == {}

    async def test_shows_what_was_stored_just_before(
        self, service: MemoryService, file: Mapping[str, Any]
    ) -> None:
        await send(service.backends, to_bob("second"), sender_id=ALICE)
        await service.consume()
        await restart(service, file)
        assert await listed(service) == ["second", "secret"]

    async def test_loses_nothing_that_only_the_cache_had(
        self, service: MemoryService, file: Mapping[str, Any]
    ) -> None:
        service.broker.down = True
        receipt = await send(service.backends, to_bob("second"), sender_id=ALICE)
        assert receipt.durability is Durability.CACHE
        await restart(service, file)
        assert await listed(service) == ["second", "secret"]
        assert await service.cache.pending_count() == 1

    async def test_loses_nothing_that_a_log_beside_the_cache_had(
        self, service: MemoryService, file: Mapping[str, Any]
    ) -> None:
        service.log.shares_cache_disk = True
        receipt = await send(service.backends, to_bob("second"), sender_id=ALICE)
        assert receipt.durability is Durability.LOG
        service.broker.records.clear()
        await restart(service, file)
        assert await service.cache.pending_count() == 1

    async def test_loses_nothing_that_a_repeat_was_answered_with(
        self, service: MemoryService, file: Mapping[str, Any]
    ) -> None:
        """The sender has died; a repeat got the id from the cache, where the message was alone."""
        service.broker.down = True
        service.clock.now_ms += 1_000  # so that the next ids differ
        repeated = to_bob("second", client_msg_id="c")
        first = await send(service.restarted_with().backends, repeated, sender_id=ALICE)
        service.clock.now_ms += 1_000
        await send(service.backends, repeated, sender_id=ALICE)
        await restart(service, file)
        assert await newest(service) == first.message_id
        assert await listed(service) == ["second", "secret"]

    async def test_is_not_told_content_again_without_the_stores_word(
        self, service: MemoryService, file: Mapping[str, Any]
    ) -> None:
        """Another process has recalled the message, and written all that the cache lacked."""
        service.broker.down = True
        receipt = await send(service.backends, to_bob("second"), sender_id=ALICE)
        other = service.restarted_with()
        await recall(other.backends, receipt.message_id, user_id=ALICE)
        await restart(other, file)
        lose(service)
        service.cache.down, service.store.down = False, True
        assert not await service.hints.breaker.try_now()
        service.store.down = False
        assert await service.hints.breaker.try_now()
        assert (await fetch(other.backends, receipt.message_id, reader_id=BOB)).content == ""

    async def test_is_told_again_though_another_has_settled_it_before_the_store_was_back(
        self, service: MemoryService, file: Mapping[str, Any]
    ) -> None:
        service.broker.down = service.store.down = True
        await send(service.backends, to_bob("second"), sender_id=ALICE)
        service.store.breaker.state = State.OPEN
        await restart(service, file)
        service.store.down = False
        service.store.breaker.state = State.CLOSED
        other = service.restarted_with()
        lose(other)
        await regain(other)
        assert await listed(other) == ["secret"]
        with pytest.raises(CacheUnavailable):
            await service.hints.heartbeat()
        assert await service.hints.breaker.try_now()
        assert await listed(other) == ["second", "secret"]

    async def test_is_noticed_by_each_process_though_another_has_settled_it(
        self, service: MemoryService, file: Mapping[str, Any]
    ) -> None:
        service.broker.down = True
        await send(service.backends, to_bob("second"), sender_id=ALICE)
        other = service.restarted_with()
        await restart(other, file)
        assert await listed(other) == ["secret"]
        lose(service)
        await regain(service)
        assert await listed(other) == ["second", "secret"]

    async def test_is_believed_in_nothing_before_the_store_is_back(
        self, service: MemoryService, file: Mapping[str, Any]
    ) -> None:
        message_id = await newest(service)
        await recall(service.backends, message_id, user_id=ALICE)
        service.store.down = True
        service.store.breaker.state = State.OPEN
        await restart(service, file)
        receipt = await send(service.backends, to_bob("second"), sender_id=ALICE)
        assert receipt.message_id in service.cache.details
        with pytest.raises(TemporarilyUnavailable):
            await fetch(service.backends, message_id, reader_id=BOB)
        with pytest.raises(TemporarilyUnavailable):
            await listed(service)

        service.store.down = False
        service.store.breaker.state = State.CLOSED
        with pytest.raises(CacheUnavailable):
            await service.hints.heartbeat()
        assert await service.hints.breaker.try_now()
        assert await listed(service) == ["second", ""]

    async def test_is_told_to_readers_for_a_while(
        self, service: MemoryService, file: Mapping[str, Any]
    ) -> None:
        await restart(service, file)
        page = await history(service.backends, with_bob(), reader_id=ALICE)
        assert page.partial


async def restart(service: MemoryService, file: Mapping[str, Any]) -> None:
    lose(service)
    service.cache.restart(file)
    await regain(service)
