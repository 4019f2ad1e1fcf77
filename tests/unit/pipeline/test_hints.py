"""Check that writes made while the cache is away reach it before anybody reads from it again."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from typing import Any

import pytest

from messaging.domain.backend_errors import StoreUnavailable
from messaging.domain.breakers import State
from messaging.domain.errors import (
    AlreadyRecalled,
    MessageNotFound,
    TemporarilyUnavailable,
)
from messaging.domain.message import Message, PersistStatus
from messaging.pipeline.hint_delivery import HintDelivery
from messaging.pipeline.keeping import Late, size_bytes
from messaging.pipeline.queued_send import Durability
from messaging.ports.store import ApplyResult
from messaging.service.delete import delete
from messaging.service.fetch import fetch
from messaging.service.history import history
from messaging.service.recall import recall
from messaging.service.send import send
from messaging.testing.cache import MemoryCache
from tests.support.memory import ALICE, BOB, MemoryService, message, to_bob, with_bob
from tests.unit.pipeline.outages import (
    Replaced,
    deduplicated,
    fail,
    hang,
    listed,
    lose,
    newest,
    regain,
    with_secret,
    with_store,
)


@pytest.fixture
async def service() -> MemoryService:
    return await with_secret()


MARKED_AFTER_S = 0.6  # past half of a send's time


async def return_without_hints(service: MemoryService, *, cache: Any = None, **store: Any) -> None:
    """Bring the cache back without the log, while the probe waits for the hints of the store."""
    lose(service)
    service.broker.down, service.cache.down = True, False
    held = Replaced(service.store, hints=hang, **store)
    delivery = HintDelivery(cache or service.cache, held)  # type: ignore[arg-type]
    service.hints._delivery = service.hints._kept.delivery = delivery
    await asyncio.sleep(0.02)
    assert service.hints.breaker.state is State.HALF_OPEN


async def mark_late(cache: MemoryCache, rows: Sequence[Message]) -> None:
    await asyncio.sleep(MARKED_AFTER_S)
    await cache.mark_stored(rows)


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

    async def test_that_is_repeated_is_told_though_the_cache_is_back_meanwhile(
        self, service: MemoryService
    ) -> None:
        """The first recall died between the store and the cache."""
        message_id = await newest(service)
        row = service.store.rows[message_id]
        await service.store.apply([row.recalled(service.clock.now_ms)])
        lose(service)

        async def find_late(ids: Sequence[int]) -> dict[int, Message]:
            await regain(service)
            return await service.store.find(ids)

        backends = with_store(service, Replaced(service.store, find=find_late))
        with pytest.raises(AlreadyRecalled):
            await recall(backends, message_id, user_id=ALICE)
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

        backends = with_store(service, Replaced(service.store, apply=lose_the_answer))
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
            service.backends, cache=Replaced(service.cache, mark_stored=fail, confirm_recall=fail)
        )
        service.hints.cache = Replaced(service.cache, heartbeat=fail)  # type: ignore[assignment]
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

        backends = with_store(service, Replaced(service.store, apply=be_lost_after_it))
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
            user_id: int, message_ids: Sequence[int], name: str, *, repeat: Message | None = None
        ) -> list[int]:
            assert repeat is not None
            await deduplicated(service, repeat)
            return await hide(user_id, message_ids, name, repeat=repeat)

        backends = with_store(service, Replaced(service.store, delete_for_user=deduplicate_first))
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

    async def test_that_is_stored_is_shown_without_asking_the_store_again(
        self, service: MemoryService
    ) -> None:
        """A slow answer of the store would leave no time to write to the cache."""
        await return_without_hints(service, find=hang)
        receipt = await send(service.backends, to_bob("second"), sender_id=ALICE)
        assert receipt.durability is Durability.STORE
        assert receipt.message_id in service.cache.tails["1_2"].ids

    async def test_is_written_to_the_cache_though_its_time_is_over(
        self, service: MemoryService
    ) -> None:
        cache = Replaced(service.cache, mark_stored=partial(mark_late, service.cache))
        await return_without_hints(service, cache=cache)
        receipt = await send(service.backends, to_bob("second"), sender_id=ALICE)
        tail = service.cache.tails["1_2"]
        assert receipt.message_id not in tail.ids
        await asyncio.sleep(MARKED_AFTER_S / 2)
        assert receipt.message_id in tail.ids

    async def test_that_is_recalled_while_it_is_written_stays_recalled(
        self, service: MemoryService
    ) -> None:
        """The write drops the message that it has written, and no later state of the message."""
        row = service.store.rows[await newest(service)]
        late = Late()
        late.put(row)
        tombstone = row.recalled(service.clock.now_ms)
        late.put(tombstone)
        late.drop(row)
        assert late.first(2) == [tombstone]

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
        await service.hints._kept.deliver_late()
        assert row.id not in service.cache.details

    async def test_is_not_told_when_it_was_deduplicated_into_another_by_then(
        self, service: MemoryService
    ) -> None:
        """A user who has deleted the message that was kept would see the text again."""
        lose(service)
        receipt = await send(service.backends, to_bob(client_msg_id="k"), sender_id=ALICE)
        (repeat,) = service.hints._kept.late.first(1)
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
        service.store.down = True  # so that the send does not find the reserved key
        stored = await send(service.backends, repeated, sender_id=ALICE)
        service.store.down = False
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
        service.hints._kept.late.most_bytes = 3 * size_bytes(message()) + 100
        for number in range(5):
            await send(
                service.backends, to_bob(str(number), client_msg_id=str(number)), sender_id=ALICE
            )
        assert service.hints._kept.late.bytes <= service.hints._kept.late.most_bytes
        assert [r.kind for r in caplog.records if r.message.startswith("more is owed")] == ["late"]  # type: ignore[attr-defined]
        await regain(service)
        assert service.hints._kept.late.bytes == 0
        # The log brings the other messages.
        assert await listed(service) == ["4", "3", "2", "secret"]
        await service.consume()
        assert await listed(service) == ["4", "3", "2", "1", "0", "secret"]
