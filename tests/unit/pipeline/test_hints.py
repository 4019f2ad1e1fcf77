"""Check that writes made while the cache is away reach it before anybody reads from it again."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import pytest
from msgspec import structs

from messaging.domain.breakers import State
from messaging.domain.errors import (
    AlreadyRecalled,
    CacheUnavailable,
    MessageNotFound,
    SendFailed,
    StoreUnavailable,
    TemporarilyUnavailable,
)
from messaging.domain.events import Message, PersistStatus
from messaging.pipeline.keeping import Told, size_bytes
from messaging.pipeline.queued_send import Durability
from messaging.ports.store import ApplyResult
from messaging.service.backends import Backends
from messaging.service.delete import delete
from messaging.service.fetch import fetch
from messaging.service.history import history
from messaging.service.recall import recall
from messaging.service.send import send
from messaging.testing.cache_health import RECOVERS_S
from tests.support.memory import ALICE, BOB, SETTINGS, MemoryService, message, to_bob, with_bob


@pytest.fixture
async def service() -> MemoryService:
    """Open a service in which a stored message of alice's is listed, with its content cached."""
    service = MemoryService()
    await service.hints.recover()
    await send(service.backends, to_bob("secret"), sender_id=ALICE)
    await service.consume()
    await listed(service)
    return service


async def listed(service: MemoryService) -> list[str]:
    page = await history(service.backends, with_bob(), reader_id=ALICE)
    return [message.content for message in page.messages]


async def newest(service: MemoryService) -> int:
    page = await history(service.backends, with_bob(), reader_id=ALICE)
    return page.messages[0].id


def lose(service: MemoryService) -> None:
    service.cache.down = True
    service.hints.breaker.trip()


def with_store(service: MemoryService, store: Any) -> Backends:
    return replace(
        service.backends, store=store, writes=replace(service.backends.writes, store=store)
    )


async def deduplicated(service: MemoryService, repeat: Message) -> Message:
    """Store the same send under another id first, then the repeat; return the first."""
    first = structs.replace(repeat, id=repeat.id + 1)
    await service.store.apply([first])
    await service.store.apply([repeat])
    return first


async def regain(service: MemoryService) -> None:
    service.cache.down = False
    assert await service.hints.breaker.try_now()


class TestARecall:
    async def test_is_told_before_the_cache_is_read_again(self, service: MemoryService) -> None:
        message_id = await newest(service)
        lose(service)
        await recall(service.backends, message_id, user_id=ALICE)
        assert service.cache.details[message_id].content == "secret"
        await regain(service)
        assert service.cache.details[message_id].content == ""
        assert await listed(service) == [""]

    async def test_is_told_by_another_process(self, service: MemoryService) -> None:
        """The process that noted the recall has died."""
        message_id = await newest(service)
        lose(service)
        await recall(service.backends, message_id, user_id=ALICE)
        other = service.restarted_with()
        lose(other)
        await regain(other)
        assert (await fetch(other.backends, message_id, reader_id=BOB)).content == ""

    async def test_is_refused_when_the_log_alone_would_know(self, service: MemoryService) -> None:
        """Readers of the store would still see the content."""
        message_id = await newest(service)
        lose(service)
        service.store.down = True
        with pytest.raises(TemporarilyUnavailable):
            await recall(service.backends, message_id, user_id=ALICE)

    async def test_that_is_repeated_is_told_as_well(self, service: MemoryService) -> None:
        """The store took the first recall, whose answer was lost after its hint was delivered."""
        message_id = await newest(service)
        lose(service)
        row = service.store.rows[message_id]
        await service.store.apply([row.recalled(service.clock.now_ms)])
        with pytest.raises(AlreadyRecalled):
            await recall(service.backends, message_id, user_id=ALICE)
        await regain(service)
        assert await listed(service) == [""]

    async def test_is_noted_though_the_answer_of_the_store_is_lost(
        self, service: MemoryService
    ) -> None:
        message_id = await newest(service)
        lose(service)
        apply = service.store.apply

        async def lose_the_answer(messages: Sequence[Message], *, hinted: bool) -> ApplyResult:
            await apply(messages, hinted=hinted)
            raise StoreUnavailable

        backends = with_store(service, _Other(service.store, apply=lose_the_answer))
        with pytest.raises(TemporarilyUnavailable):
            await recall(backends, message_id, user_id=ALICE)
        await regain(service)
        assert await listed(service) == [""]

    async def test_is_told_directly_when_the_cache_comes_back_meanwhile(
        self, service: MemoryService
    ) -> None:
        message_id = await newest(service)
        lose(service)
        service.cache.down = False  # Redis is back, and no process has noticed yet
        await recall(service.backends, message_id, user_id=ALICE)
        assert service.cache.details[message_id].content == ""

    async def test_is_noted_when_the_cache_is_lost_in_the_midst_of_it(
        self, service: MemoryService
    ) -> None:
        message_id = await newest(service)
        backends = replace(
            service.backends, cache=_Other(service.cache, mark_stored=fail, confirm_recall=fail)
        )
        service.hints.cache = _Other(service.cache, heartbeat=fail)  # type: ignore[assignment]
        await recall(backends, message_id, user_id=ALICE)
        other = service.restarted_with()
        lose(other)
        await regain(other)
        assert (await fetch(other.backends, message_id, reader_id=BOB)).content == ""
        assert service.cache.marks == {}

    async def test_is_told_though_the_store_is_lost_as_well(self, service: MemoryService) -> None:
        """The cache is told once the store has the recall; other processes still read the cache."""
        message_id = await newest(service)
        lose(service)
        service.cache.down = False
        apply = service.store.apply

        async def be_lost_after_it(messages: Sequence[Message], *, hinted: bool) -> ApplyResult:
            result = await apply(messages, hinted=hinted)
            service.store.down = True
            return result

        backends = with_store(service, _Other(service.store, apply=be_lost_after_it))
        await recall(backends, message_id, user_id=ALICE)
        assert service.cache.details[message_id].content == ""


class TestADelete:
    async def test_is_told_before_the_cache_is_read_again(self, service: MemoryService) -> None:
        message_id = await newest(service)
        await fetch(service.backends, message_id, reader_id=BOB)
        lose(service)
        await delete(service.backends, message_id, user_id=BOB)
        await regain(service)
        with pytest.raises(MessageNotFound):
            await fetch(service.backends, message_id, reader_id=BOB)
        assert await listed(service) == ["secret"]

    async def test_of_a_repeat_that_was_deduplicated_since_hides_the_first(
        self, service: MemoryService
    ) -> None:
        receipt = await send(service.backends, to_bob(client_msg_id="k"), sender_id=ALICE)
        repeat = service.cache.details[receipt.message_id]
        first = await deduplicated(service, repeat)
        await delete(service.backends, repeat.id, user_id=BOB)
        assert await service.store.deleted_among(BOB, [first.id]) == {first.id}
        assert first.id in service.cache.deletes[BOB]

    async def test_of_a_repeat_that_is_deduplicated_meanwhile_hides_the_first(
        self, service: MemoryService
    ) -> None:
        receipt = await send(service.backends, to_bob(client_msg_id="k"), sender_id=ALICE)
        repeat = service.cache.details[receipt.message_id]
        hide = service.store.delete_for_user

        async def deduplicate_first(
            user_id: int, message_ids: Sequence[int], *, repeat: Message | None = None
        ) -> list[int]:
            assert repeat is not None
            await deduplicated(service, repeat)
            return await hide(user_id, message_ids, repeat=repeat)

        backends = with_store(service, _Other(service.store, delete_for_user=deduplicate_first))
        await delete(backends, repeat.id, user_id=BOB)
        first = service.store.aliases[repeat.id]
        assert await service.store.deleted_among(BOB, [first]) == {first}
        assert first in service.cache.deletes[BOB]


class TestASend:
    async def test_is_listed_though_only_the_log_has_taken_it(self, service: MemoryService) -> None:
        lose(service)
        receipt = await send(service.backends, to_bob("second"), sender_id=ALICE)
        assert receipt.durability is Durability.LOG
        await regain(service)
        assert await listed(service) == ["second", "secret"]
        assert await service.cache.pending_count() == 1
        await service.consume()
        assert await listed(service) == ["second", "secret"]
        assert await service.cache.pending_count() == 0

    async def test_is_acknowledged_once_the_cache_knows_of_it_where_it_can(
        self, service: MemoryService
    ) -> None:
        """One process alone has lost the cache for a moment; the others go on reading it."""
        lose(service)
        assert not await service.hints.breaker.try_now()
        service.cache.down = False
        receipt = await send(service.backends, to_bob("second"), sender_id=ALICE)
        assert receipt.durability is Durability.LOG
        assert receipt.message_id in service.cache.details

    async def test_is_not_pending_again_when_it_is_stored_by_then(
        self, service: MemoryService
    ) -> None:
        lose(service)
        receipt = await send(service.backends, to_bob("second"), sender_id=ALICE)
        await service.consumer.step()
        await regain(service)
        assert await service.cache.pending_count() == 0
        message = await fetch(service.backends, receipt.message_id, reader_id=ALICE)
        assert message.persist_status is PersistStatus.PERSISTED

    async def test_is_not_told_from_memory_when_it_is_a_row_that_may_be_recalled_by_now(
        self, service: MemoryService
    ) -> None:
        lose(service)
        service.broker.down = True
        receipt = await send(service.backends, to_bob("second"), sender_id=ALICE)
        row = service.store.rows[receipt.message_id]
        await service.store.apply([row.recalled(service.clock.now_ms)])
        service.cache.down, service.store.down = False, True
        await service.hints._deliver_late()
        assert row.id not in service.cache.details

    async def test_is_not_told_when_it_was_deduplicated_into_another_by_then(
        self, service: MemoryService
    ) -> None:
        """A user who has deleted the message that was kept would see the text again."""
        lose(service)
        receipt = await send(service.backends, to_bob(client_msg_id="k"), sender_id=ALICE)
        (repeat,) = service.hints._late.first(1)
        assert repeat.id == receipt.message_id
        first = await deduplicated(service, repeat)
        await delete(service.backends, first.id, user_id=ALICE)
        await regain(service)
        assert repeat.id not in service.cache.details
        assert await listed(service) == ["secret"]

    async def test_is_listed_though_only_the_store_has_taken_it(
        self, service: MemoryService
    ) -> None:
        lose(service)
        service.broker.down = True
        receipt = await send(service.backends, to_bob("second"), sender_id=ALICE)
        assert receipt.durability is Durability.STORE
        await regain(service)
        assert await listed(service) == ["second", "secret"]

    async def test_that_is_repeated_meanwhile_gets_its_first_id_back(
        self, service: MemoryService
    ) -> None:
        lose(service)
        repeated = to_bob("second", client_msg_id="c")
        first = await send(service.backends, repeated, sender_id=ALICE)
        again = await send(service.backends, repeated, sender_id=ALICE)
        assert again.message_id == first.message_id
        await regain(service)
        once_more = await send(service.backends, repeated, sender_id=ALICE)
        assert once_more.message_id == first.message_id

    async def test_takes_the_place_of_an_attempt_that_the_cache_has_accepted(
        self, service: MemoryService
    ) -> None:
        """Two processes: one had the cache back before the other."""
        repeated = to_bob("second", client_msg_id="c")
        lose(service)
        service.broker.down = True
        stored = await send(service.backends, repeated, sender_id=ALICE)
        other = service.restarted_with()
        service.cache.down = False
        accepted = await send(other.backends, repeated, sender_id=ALICE)
        assert accepted.message_id != stored.message_id
        await regain(service)
        assert await listed(service) == ["second", "secret"]
        assert await newest(service) == stored.message_id

    async def test_takes_over_who_has_deleted_that_attempt(self, service: MemoryService) -> None:
        service.clock.now_ms += 1_000  # so that the next ids differ
        repeated = to_bob("second", client_msg_id="c")
        service.broker.down = True
        accepted = await send(service.restarted_with().backends, repeated, sender_id=ALICE)
        await delete(service.backends, accepted.message_id, user_id=BOB)
        service.broker.down = False
        lose(service)
        service.clock.now_ms += 1_000
        stored = await send(service.backends, repeated, sender_id=ALICE)
        assert stored.message_id != accepted.message_id
        await service.consumer.step()
        await regain(service)
        with pytest.raises(MessageNotFound):
            await fetch(service.backends, stored.message_id, reader_id=BOB)
        assert await listed(service) == ["second", "secret"]

    async def test_is_not_limited_by_its_senders_rate(self, service: MemoryService) -> None:
        service.cache.rates.take = lambda _: 1.0  # type: ignore[method-assign]
        lose(service)
        await send(service.backends, to_bob("second"), sender_id=ALICE)
        await regain(service)
        assert await listed(service) == ["second", "secret"]

    async def test_is_told_though_too_much_is_pending(self, service: MemoryService) -> None:
        await send(service.backends, to_bob("before"), sender_id=ALICE)
        service.cache.most_pending_bytes = 1
        lose(service)
        await send(service.backends, to_bob("meanwhile"), sender_id=ALICE)
        await regain(service)
        # The page is whole again some seconds after the restart.
        service.cache.clock_s = lambda: float("inf")
        page = await history(service.backends, with_bob(), reader_id=ALICE)
        assert [message.content for message in page.messages] == ["meanwhile", "before", "secret"]
        assert (page.total, page.partial) == (3, False)

    async def test_takes_no_more_memory_than_is_allowed(
        self, service: MemoryService, caplog: pytest.LogCaptureFixture
    ) -> None:
        lose(service)
        service.hints._late.most_bytes = 3 * size_bytes(message()) + 100
        for number in range(5):
            await send(
                service.backends, to_bob(str(number), client_msg_id=str(number)), sender_id=ALICE
            )
        assert service.hints._late.bytes <= service.hints._late.most_bytes
        assert [r.kind for r in caplog.records if r.message.startswith("more is owed")] == ["late"]  # type: ignore[attr-defined]
        await regain(service)
        assert service.hints._late.bytes == 0
        # The log brings the other messages.
        assert await listed(service) == ["4", "3", "2", "secret"]
        await service.consume()
        assert await listed(service) == ["4", "3", "2", "1", "0", "secret"]


class TestWhatTheCacheWasTold:
    async def test_takes_no_more_memory_than_is_allowed(self) -> None:
        told, large = Told(most_bytes=100_000), message("x" * 16_000)
        fits = [told.put(n, [large], keep_from_s=0) for n in range(1, 9)]
        assert fits == [True] * 5 + [False] * 3
        assert told.bytes <= 100_000
        assert len(list(told.since(0))) == 5
        assert told.put(10, [message()], keep_from_s=10)
        assert told.bytes == size_bytes(message())

    async def test_is_kept_for_a_while_however_much_one_telling_is(self) -> None:
        told, large = Told(most_bytes=100), message("x" * 16_000)
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
        await service.hints.look()
        lose(service)
        await send(service.backends, to_bob("second"), sender_id=ALICE)
        other = service.restarted_with()
        service.cache.down = False
        service.cache.heartbeats["a"] -= 1
        await other.hints.look()
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
        await service.hints.look()
        if has_hints:
            lose(service)
            await send(service.backends, to_bob("second"), sender_id=ALICE)
            service.cache.down = False
        await service.hints.leave()
        assert bool(service.cache.heartbeats) == has_hints


class TestTheTime:
    async def test_of_a_send_is_bounded_whatever_hangs(self, service: MemoryService) -> None:
        service = service.restarted_with(send_timeout_s=0.3)
        loop = asyncio.get_running_loop()
        service.acceptor.commit.cache = _Other(service.cache, accept=hang)  # type: ignore[assignment]
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

        service.acceptor.commit.cache = _Other(service.cache, accept=hold_the_first)  # type: ignore[assignment]
        first = asyncio.create_task(send(service.backends, to_bob(), sender_id=ALICE))
        await held.wait()
        receipt = await send(service.backends, to_bob(), sender_id=ALICE)
        assert receipt.durability is Durability.LOG
        assert not first.done()
        with pytest.raises(SendFailed):
            await first


class _Other:
    """Wrap a port and replace some of its methods."""

    def __init__(self, port: object, **methods: object) -> None:
        self._port = port
        vars(self).update(methods)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._port, name)


async def fail(*args: object) -> None:
    raise CacheUnavailable


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
            await service.hints.look()
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
            await service.hints.look()
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
