"""Test, one order of events a test, that no slow fill undoes a delete or a floor that was told.

A reader takes a token, reads the store and fills; a change comes in between, and may be lost.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable

import pytest

from messaging.domain.conversations import NO_FLOOR, Floor
from messaging.ports.cache import MessageCache
from messaging.ports.store import Deletes
from messaging.testing.cache import MemoryCache
from tests.contract.cache.conversation import CONVERSATION, READER, RunOut, tail
from tests.contract.cache.events import Events
from tests.support.deletes import know_deletes
from tests.support.messages import FIRST_ID, make_message

Loss = Callable[[], Awaitable[None]]
NOTHING = Deletes((), 0)
CLEARED = {CONVERSATION: Floor(FIRST_ID, 5)}


async def tell(cache: MessageCache) -> None:
    """Tell the cache of a delete and of a clear."""
    await cache.add_deletes(READER, [FIRST_ID + 2])
    await cache.add_deletes(READER, [], floors=CLEARED)


async def is_unknown(cache: MessageCache) -> bool:
    seen = await tail(cache)
    return seen.deletes_floor is None and seen.cleared is None


async def knows_all(cache: MessageCache) -> bool:
    """Tell whether the cache counts as complete, and has what `tell` has told."""
    seen = await tail(cache)
    deleted = (await cache.reader_view([FIRST_ID + 2], reader_id=READER)).deleted
    known = (seen.deletes_floor, seen.cleared, deleted)
    return known == (0, CLEARED[CONVERSATION], frozenset({FIRST_ID + 2}))


async def restarted(cache: MessageCache, events: Events, file: object) -> None:
    await events.restart(file)
    await cache.heartbeat()


@pytest.fixture
async def early(cache: MessageCache) -> str:
    """Return the token of a reader whose answer of the store has nothing in it, and is slow."""
    await cache.accept([make_message(1), make_message(2)], None)
    return await cache.begin_deletes(READER)


@pytest.fixture(params=["deletes", "floors", "both", "emptied", "an old file"])
async def lose(
    request: pytest.FixtureRequest,
    cache: MessageCache,
    events: Events,
    run_out: RunOut,
    early: str,
) -> Loss:
    """Return a function that loses what was told since the token was taken."""
    file = await events.file()
    empty = MemoryCache().file() if isinstance(cache, MemoryCache) else {}

    async def lose_it() -> None:
        match request.param:
            case "deletes":
                await events.evict_deletes(READER)
            case "floors":
                await events.evict_floors(READER)
            case "both":
                run_out()
            case "emptied":
                await restarted(cache, events, empty)
            case _:
                await restarted(cache, events, file)

    return lose_it


class TestASlowFill:
    async def test_counts_as_complete_with_what_was_told_meanwhile(
        self, cache: MessageCache, early: str
    ) -> None:
        await tell(cache)
        assert await is_unknown(cache)
        await cache.fill_deletes(READER, early, NOTHING)
        assert await knows_all(cache)

    async def test_is_not_complete_where_the_change_is_lost(
        self, cache: MessageCache, early: str, lose: Loss
    ) -> None:
        await tell(cache)
        await lose()
        await cache.fill_deletes(READER, early, NOTHING)
        assert await is_unknown(cache)

    async def test_is_not_complete_with_a_later_change_alone(
        self, cache: MessageCache, early: str, lose: Loss
    ) -> None:
        await tell(cache)
        await lose()
        await cache.add_deletes(READER, [FIRST_ID + 1], floors={"g7": Floor(9, 1)})
        await cache.fill_deletes(READER, early, NOTHING)
        assert await is_unknown(cache)

    async def test_is_not_complete_by_the_token_of_a_later_reader(
        self, cache: MessageCache, early: str, lose: Loss
    ) -> None:
        await tell(cache)
        await lose()
        late = await cache.begin_deletes(READER)
        assert late != early
        await cache.fill_deletes(READER, early, NOTHING)
        assert await is_unknown(cache)
        await cache.fill_deletes(READER, late, Deletes((FIRST_ID + 2,), 0, CLEARED))
        assert await knows_all(cache)
        await cache.fill_deletes(READER, early, NOTHING)
        assert await knows_all(cache)

    async def test_adds_what_it_has_all_the_same(
        self, cache: MessageCache, early: str, lose: Loss
    ) -> None:
        await lose()
        await cache.fill_deletes(READER, early, Deletes((FIRST_ID + 2,), 0, CLEARED))
        assert await is_unknown(cache)
        view = await cache.reader_view([FIRST_ID + 1, FIRST_ID + 2], reader_id=READER)
        assert view.deleted == {FIRST_ID + 2}
        await know_deletes(cache, READER)
        assert await knows_all(cache)


class TestReadersAtTheSameTime:
    async def test_have_one_token_and_both_fill(self, cache: MessageCache, early: str) -> None:
        late = await cache.begin_deletes(READER)
        assert late == early
        await cache.fill_deletes(READER, late, NOTHING)
        await tell(cache)
        assert await cache.begin_deletes(READER) == early
        await cache.fill_deletes(READER, early, NOTHING)
        assert await knows_all(cache)

    async def test_of_other_users_have_other_tokens(self, cache: MessageCache, early: str) -> None:
        other = await cache.begin_deletes(READER + 1)
        assert other != early
        await cache.fill_deletes(READER, other, NOTHING)
        assert await is_unknown(cache)
        await cache.fill_deletes(READER + 1, other, NOTHING)
        assert (await tail(cache, reader_id=READER + 1)).cleared == NO_FLOOR
