"""Test the ids of the messages that a user has deleted."""

from __future__ import annotations

import pytest

from messaging.ports.cache import MessageCache
from tests.contract.cache.conversation import READER, RunOut, tail
from tests.support.deletes import know_deletes
from tests.support.messages import FIRST_ID, make_message


class TestDeletes:
    async def test_what_was_known_before_is_kept(self, cache: MessageCache) -> None:
        await cache.accept([make_message(n) for n in (1, 2, 3)], None)
        await know_deletes(cache, READER, [FIRST_ID + 1])

        await cache.add_deletes(READER, [FIRST_ID + 2])
        await cache.add_deletes(READER, [FIRST_ID + 2])

        seen = await tail(cache)
        assert ([m.id for m in seen.messages], seen.deletes_floor) == ([FIRST_ID + 3], 0)

    @pytest.mark.parametrize("floors", [(90, 100), (100, 90), (99, 100, 90)])
    async def test_are_complete_above_the_lowest_floor(
        self, cache: MessageCache, floors: tuple[int, ...]
    ) -> None:
        for floor in floors:
            await know_deletes(cache, READER, floor=floor)

        assert (await tail(cache)).deletes_floor == 90

    async def test_are_found_among_thousands(self, cache: MessageCache) -> None:
        await cache.accept([make_message(n) for n in range(1, 101)], None)
        await know_deletes(cache, READER, [FIRST_ID + n for n in range(50, 5_000)], floor=FIRST_ID)

        seen = await tail(cache)

        assert [m.id - FIRST_ID for m in seen.messages] == list(range(49, 0, -1))
        assert seen.deletes_floor == FIRST_ID

    async def test_are_forgotten_whole(self, cache: MessageCache, run_out: RunOut) -> None:
        await cache.accept([make_message(1)], None)
        await know_deletes(cache, READER, [FIRST_ID + 1])

        run_out()

        seen = await tail(cache)
        assert (len(seen.messages), seen.deletes_floor) == (1, None)

    async def test_added_after_all_was_forgotten_may_not_be_all(
        self, cache: MessageCache, run_out: RunOut
    ) -> None:
        await know_deletes(cache, READER, [FIRST_ID + 1])
        run_out()
        await cache.add_deletes(READER, [FIRST_ID + 2])

        assert (await tail(cache)).deletes_floor is None
