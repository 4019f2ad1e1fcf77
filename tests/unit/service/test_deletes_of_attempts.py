"""Check that a delete under one id of a send hides the message under every id of the send.

Repeats of a send get several ids where one part of the service does not know of the other.
"""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from messaging.domain.backend_errors import CacheUnavailable
from messaging.domain.errors import MessageNotFound
from messaging.domain.message import Message
from messaging.pipeline.write_through import WriteThrough
from messaging.service.delete import delete
from messaging.service.fetch import fetch
from messaging.service.history import history
from messaging.service.send import send
from messaging.testing.cache import MemoryCache
from tests.support.memory import ALICE, BOB, MemoryService, to_bob, with_bob
from tests.unit.pipeline.outages import Replaced, lose, regain

REQUEST = to_bob("secret", client_msg_id="k")


@pytest.fixture
async def service() -> MemoryService:
    service = MemoryService()
    await service.hints.recover()
    return service


def beside(service: MemoryService) -> MemoryService:
    """Return a second process over the same parts, whose ids are later."""
    service.clock.now_ms += 1_000
    return service.restarted_with()


async def accepted_by(service: MemoryService) -> int:
    return (await send(service.backends, REQUEST, sender_id=ALICE)).message_id


async def accepted_in_the_cache(service: MemoryService) -> tuple[int, MemoryService]:
    """Send without the log; return the id, and a second process that has the log again."""
    service.broker.down = True
    message_id = await accepted_by(service)
    service.broker.down = False
    return message_id, beside(service)


async def seen(service: MemoryService, reader: int) -> list[str]:
    request = with_bob(target_id=ALICE + BOB - reader)
    page = await history(service.backends, request, reader_id=reader)
    return [message.content for message in page.messages]


async def check_hidden(service: MemoryService, *message_ids: int) -> None:
    """Check that bob sees the message under none of its ids, and alice still sees it."""
    assert await seen(service, BOB) == []
    assert "secret" in await seen(service, ALICE)
    for message_id in message_ids:
        with pytest.raises(MessageNotFound):
            await fetch(service.backends, message_id, reader_id=BOB)


async def test_a_delete_without_the_cache_hides_the_attempt_that_the_cache_alone_has(
    service: MemoryService,
) -> None:
    """The deleted message is the row, and the other attempt is pending."""
    cached, other = await accepted_in_the_cache(service)
    lose(service)
    lose(other)
    stored = await accepted_by(other)
    assert stored != cached
    await service.consumer.step()
    await delete(service.backends, stored, user_id=BOB)
    await regain(service)
    await check_hidden(service, cached, stored)


async def test_a_repeat_that_becomes_the_row_takes_the_place_of_the_attempt_in_the_cache(
    service: MemoryService,
) -> None:
    """The restarted cache was given the second attempt first."""
    first, other = await accepted_in_the_cache(service)
    lose(service)
    lose(other)
    again = await accepted_by(other)
    assert again != first
    service.cache.restart(MemoryCache().file())
    await regain(other)
    assert [*service.cache.pending_set.times] == [again]
    await regain(service)
    assert [*service.store.rows] == [first]
    assert await seen(service, ALICE) == ["secret"]
    await delete(service.backends, again, user_id=BOB)
    await check_hidden(service, first, again)


async def test_a_retry_without_the_cache_takes_the_id_that_was_deleted(
    service: MemoryService,
) -> None:
    service.broker.down = True
    first = await accepted_by(service)
    other = beside(service)
    await delete(service.backends, first, user_id=BOB)
    service.broker.down = False
    lose(other)
    assert await accepted_by(other) == first
    service.cache.restart(MemoryCache().file())
    await regain(other)
    await check_hidden(service, first)


async def test_an_attempt_that_is_stored_before_the_deleted_one_is_hidden(
    service: MemoryService,
) -> None:
    """The log alone has it: its process could not reserve the key, nor see the delete."""
    first, other = await accepted_in_the_cache(service)
    service.store.down = True
    lose(other)
    again = await accepted_by(other)
    service.cache.down, service.store.down = False, False
    assert again != first
    assert await seen(service, BOB) == ["secret"]
    await delete(service.backends, first, user_id=BOB)
    await service.consume()
    assert [*service.store.rows] == [again]
    await check_hidden(service, first, again)


async def test_a_delete_of_the_row_finds_the_attempt_that_is_pending_after_a_duplicate(
    service: MemoryService,
) -> None:
    """Three attempts: the first in the cache alone, the second the row, the third a duplicate."""
    service.broker.down = True
    first = await accepted_by(service)
    service.broker.down, service.store.down = False, True
    ids = []
    for _ in range(2):
        other = beside(service)
        lose(other)
        ids.append(await accepted_by(other))
    service.cache.down, service.store.down = False, False
    await service.consume()
    assert [*service.store.rows] == ids[:1]
    assert [*service.store.aliases] == ids[1:]
    assert [*service.cache.pending_set.times] == [first]

    await delete(service.backends, ids[0], user_id=BOB)
    await check_hidden(service, first, *ids)


async def test_a_delete_by_an_id_that_the_cache_leads_on_hides_that_id_as_well(
    service: MemoryService,
) -> None:
    """The store may take the attempt of that id for the first one."""
    first, other = await accepted_in_the_cache(service)
    service.store.down = True
    lose(other)
    again = await accepted_by(other)
    service.cache.down = False
    await service.cache.add_alias(again, first)
    service.store.down = False

    await delete(service.backends, again, user_id=BOB)
    assert service.cache.deletes[BOB] == {first, again}
    await service.consume()
    await check_hidden(service, first, again)


async def handed_over(service: MemoryService) -> list[Message]:
    """Let bob delete one attempt, and return both attempts, neither of them stored."""
    attempts = []
    for _ in range(2):
        service.cache.idempotency_records.clear()
        attempts.append(service.cache.details[await accepted_by(service)])
        service.clock.now_ms += 1_000
    await service.store.delete_for_user(BOB, [attempts[1].id], "1_2")
    return attempts


async def test_a_handed_over_delete_reaches_the_cache_before_its_row(
    service: MemoryService,
) -> None:
    attempts = await handed_over(service)

    async def mark_stored(rows: Sequence[Message]) -> None:
        assert service.cache.deletes[BOB] == {attempts[0].id}
        await service.cache.mark_stored(rows)

    cache = Replaced(service.cache, mark_stored=mark_stored)
    await WriteThrough(cache, service.store).write(attempts)


async def test_a_full_cache_that_refuses_a_delete_gets_the_rows_that_make_room(
    service: MemoryService,
) -> None:
    attempts = await handed_over(service)

    async def add_deletes(user_id: int, message_ids: Sequence[int]) -> None:
        raise CacheUnavailable

    cache = Replaced(service.cache, add_deletes=add_deletes)
    with pytest.raises(CacheUnavailable):
        await WriteThrough(cache, service.store).write(attempts)
    assert attempts[0].id not in service.cache.pending_set.times
