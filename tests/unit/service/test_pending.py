"""Test the pending set as operators see it."""

from __future__ import annotations

import pytest
from msgspec.structs import replace

from messaging.domain.errors import TemporarilyUnavailable
from messaging.domain.message import Message
from messaging.ports.cached import PendingEntry
from messaging.service.pending import list_pending
from messaging.testing.cache import MemoryCache
from tests.support.memory import NOW_MS, MemoryService, message


@pytest.fixture
def service() -> MemoryService:
    return MemoryService()


async def accepted(service: MemoryService, count: int) -> list[Message]:
    sent = [message(send_time=NOW_MS + n) for n in range(count)]
    await service.cache.accept(sent, None)
    return sent


async def test_lists_the_newest_first_and_tells_the_oldest(service: MemoryService) -> None:
    sent = await accepted(service, 5)
    await service.cache.count_attempt(sent[3:4])

    page = await list_pending(service.backends, offset=1, limit=2)

    assert page.count == 5
    assert page.oldest is not None
    assert page.oldest.message_id == sent[0].id
    assert [(line.message, line.attempts) for line in page.lines] == [(sent[3], 1), (sent[2], 0)]


async def test_an_empty_set_has_no_oldest(service: MemoryService) -> None:
    page = await list_pending(service.backends, offset=0, limit=50)

    assert (page.count, page.oldest, page.lines) == (0, None, ())


async def test_a_message_without_its_detail_is_listed_all_the_same(service: MemoryService) -> None:
    (sent,) = await accepted(service, 1)
    service.cache.details.clear()

    (line,) = (await list_pending(service.backends, offset=0, limit=50)).lines

    assert (line.entry.message_id, line.message) == (sent.id, None)


class OvertakenCache(MemoryCache):
    """Persist the newest pending message just after it was listed."""

    async def newest_pending(self, *, offset: int, limit: int) -> list[PendingEntry]:
        entries = await super().newest_pending(offset=offset, limit=limit)
        newest = (await self.get([entries[0].message_id])).values()
        await self.mark_stored([replace(one, seq=1) for one in newest])
        return entries


async def test_what_is_persisted_meanwhile_is_left_out() -> None:
    service = MemoryService(cache=OvertakenCache())
    older, _ = await accepted(service, 2)

    page = await list_pending(service.backends, offset=0, limit=50)

    assert [line.message for line in page.lines] == [older]


async def test_without_redis_it_says_so(service: MemoryService) -> None:
    service.cache.down = True

    with pytest.raises(TemporarilyUnavailable):
        await list_pending(service.backends, offset=0, limit=50)
