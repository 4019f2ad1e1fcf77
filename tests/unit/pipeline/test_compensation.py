"""Check that compensation persists pending messages once each, without a storm."""

from __future__ import annotations

import asyncio

import pytest

from messaging.domain.message import Recall
from messaging.domain.requests import Ack
from messaging.pipeline.compensation import Sweep
from tests.support.memory import NOW_MS, MemoryService, message


@pytest.fixture
def service() -> MemoryService:
    return MemoryService()


def later(service: MemoryService) -> None:
    service.clock.now_ms += 60_000


async def stuck(service: MemoryService, count: int = 1) -> list[int]:
    """Accept messages that the cache has and the log lacks, and return their ids."""
    service.broker.down = True
    sent = [message(f"{n}") for n in range(count)]
    for one in sent:
        await service.acceptor.accept(one, ack=Ack.CACHE)
    await service.acceptor.close()
    service.broker.down = False
    later(service)
    return [m.id for m in sent]


async def test_a_stuck_message_is_appended_again_and_persisted(service: MemoryService) -> None:
    ids = await stuck(service, 3)
    swept = await service.sweep()
    assert (swept.examined, swept.appended) == (3, 3)
    await service.consume()
    assert set(await service.store.get(ids)) == set(ids)
    assert await service.cache.pending_count() == 0


async def test_a_young_message_is_left_alone(service: MemoryService) -> None:
    await service.acceptor.accept(message(), ack=Ack.LOG)
    assert await service.sweep() == Sweep()


async def test_what_was_sent_before_the_clock_was_set_back_is_repaired(
    service: MemoryService,
) -> None:
    ids = await stuck(service, 3)
    service.clock.now_ms -= 600_000
    swept = await service.sweep()
    assert swept.examined == 3
    await service.consume()
    assert set(await service.store.get(ids)) == set(ids)


async def test_without_the_log_it_is_applied_to_the_store(service: MemoryService) -> None:
    ids = await stuck(service, 3)
    service.broker.down = True
    swept = await service.sweep()
    assert (swept.appended, swept.applied) == (0, 3)
    assert set(await service.store.get(ids)) == set(ids)
    assert await service.cache.pending_count() == 0


async def test_when_attempts_run_out_it_is_applied_to_the_store(service: MemoryService) -> None:
    ids = await stuck(service)
    compensator = service.compensator()
    appended = [(await compensator.sweep()).appended for _ in range(3)]
    assert appended == [1, 1, 0]
    assert set(await service.store.get(ids)) == set(ids)


async def test_a_stored_message_only_lacks_its_mark(service: MemoryService) -> None:
    sent = message()
    await service.acceptor.accept(sent, ack=Ack.LOG)
    await service.store.apply([sent])
    later(service)
    swept = await service.sweep()
    assert (swept.confirmed, swept.appended, swept.applied) == (1, 0, 0)
    assert await service.cache.pending_count() == 0


async def test_a_message_recalled_while_pending_is_stored_as_its_tombstone(
    service: MemoryService,
) -> None:
    (message_id,) = await stuck(service)
    await service.cache.set_recall_mark(message_id, Recall(NOW_MS))
    pending = (await service.cache.get([message_id]))[message_id]
    await service.cache.confirm_recall(pending.recalled(NOW_MS))
    service.broker.down = True
    await service.sweep()
    row = (await service.store.get([message_id]))[message_id]
    assert (row.is_recalled, row.content) == (True, "")


async def test_a_sweep_goes_through_a_backlog_larger_than_its_batch() -> None:
    service = MemoryService().restarted_with(compensate_batch=10)
    ids = await stuck(service, 35)
    swept = await service.sweep()
    assert swept.examined == swept.appended == 35
    await service.consume()
    assert len(await service.store.get(ids)) == 35


async def test_two_sweepers_at_once_do_the_work_once(service: MemoryService) -> None:
    await stuck(service, 3)
    sweeps = await asyncio.gather(service.sweep(), service.sweep())
    assert sorted(s.examined for s in sweeps) == [0, 3]


async def test_with_log_and_store_away_everything_stays_pending(service: MemoryService) -> None:
    await stuck(service, 3)
    service.broker.down = service.store.down = True
    await service.sweep()
    assert await service.cache.pending_count() == 3


async def test_while_the_store_is_away_nothing_is_appended_again(service: MemoryService) -> None:
    """The log's records wait in the log; on the embedded stack more would fill the same Redis."""
    sent = message()
    await service.acceptor.accept(sent, ack=Ack.LOG)
    later(service)
    service.store.down = True
    appended = service.broker.records.copy()
    for _ in range(4):
        service.cache.leases.clear()
        swept = await service.sweep()
        assert (swept.examined, swept.appended, swept.left) == (1, 0, 1)
    assert service.broker.records == appended
    assert await service.cache.attempts([sent.id]) == {sent.id: 0}
    service.store.down = False
    service.cache.leases.clear()
    assert (await service.sweep()).appended == 1


async def test_another_sweeper_may_sweep_when_the_next_sweep_is_due() -> None:
    service = MemoryService().restarted_with(compensate_every_s=10.0)
    await stuck(service)
    now_s = 0.0
    service.cache.clock_s = lambda: now_s
    examined = [(await service.sweep()).examined]
    for now_s in (8.9, 9.1):  # noqa: B007  # the cache's clock
        examined.append((await service.sweep()).examined)
    assert examined == [1, 0, 1]


async def test_refused_data_ends_in_the_dead_letters(service: MemoryService) -> None:
    (message_id,) = await stuck(service)
    service.store.refuses = lambda m: True
    swept = await service.restarted_with(compensate_attempts=0).sweep()
    assert swept.set_aside == 1
    assert [d.message_id for d in service.store.dead_letters] == [message_id]
    assert await service.cache.pending_count() == 0


async def test_a_person_can_have_young_messages_persisted_at_once(service: MemoryService) -> None:
    sent = [message(), message()]
    for one in sent:
        await service.acceptor.accept(one, ack=Ack.LOG)
    ids = [one.id for one in sent]

    for _ in range(2):
        repaired = await service.compensator().repair(ids)
        assert (repaired.examined, repaired.left) == (2, 0)

    assert set(await service.store.get(ids)) == set(ids)
    assert await service.cache.pending_count() == 0


async def test_a_repair_without_the_store_leaves_everything_pending(service: MemoryService) -> None:
    ids = await stuck(service, 3)
    service.store.down = True

    repaired = await service.compensator().repair(ids)

    assert (repaired.left, await service.cache.pending_count()) == (3, 3)


async def test_a_repair_does_not_wait_for_a_log_that_is_away(service: MemoryService) -> None:
    ids = await stuck(service, 3)
    service.broker.down = True

    repaired = await service.compensator().repair(ids)

    assert (repaired.applied, repaired.left) == (3, 0)


async def test_a_repair_of_a_repeated_send_leaves_nothing(service: MemoryService) -> None:
    first = message(client_msg_id="k")
    await service.store.apply([first])
    repeat = message(client_msg_id="k")
    await service.cache.accept([repeat], None)

    repaired = await service.compensator().repair([repeat.id])

    assert (repaired.applied, repaired.left) == (1, 0)
    assert await service.cache.pending_count() == 0


async def test_a_repair_of_what_nobody_knows_says_so(service: MemoryService) -> None:
    repaired = await service.compensator().repair([message().id])

    assert (repaired.without_detail, repaired.left) == (1, 0)
