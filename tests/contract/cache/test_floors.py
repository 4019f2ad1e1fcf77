"""Test the floors of readers, which the cache keeps beside their deletes."""

from __future__ import annotations

import pytest

from messaging.domain.conversations import NO_FLOOR, Floor
from messaging.domain.message import ChatType
from messaging.ports.cache import MessageCache
from messaging.ports.cached import ReaderView
from tests.contract.cache.conversation import CONVERSATION, READER, RunOut, tail
from tests.contract.cache.test_restart import Restart
from tests.support.deletes import know_deletes
from tests.support.messages import FIRST_ID, make_message

HIGH = 2**62  # its digits are more than the numbers of Lua can tell apart


async def view(cache: MessageCache, *numbers: int, reader_id: int = READER) -> ReaderView:
    return await cache.reader_view([FIRST_ID + n for n in numbers], reader_id=reader_id)


class TestFloors:
    async def test_are_known_with_the_deletes(self, cache: MessageCache) -> None:
        await cache.accept([make_message(1)], None)
        await cache.add_deletes(READER, [], floors={CONVERSATION: Floor(FIRST_ID, 5)})
        assert (await tail(cache)).cleared is None
        assert (await view(cache, 1)).cleared(FIRST_ID + 1) is None

        await know_deletes(cache, READER)

        assert (await tail(cache)).cleared == Floor(FIRST_ID, 5)
        assert (await view(cache, 1)).cleared(FIRST_ID + 1) == Floor(FIRST_ID, 5)
        ids = await cache.listed(CONVERSATION, reader_id=READER, before=None, limit=9)
        assert (ids.missing, ids.cleared) == ((FIRST_ID + 1,), Floor(FIRST_ID, 5))

    async def test_are_of_one_reader_and_one_conversation(self, cache: MessageCache) -> None:
        to_group = make_message(2, to_id=7, chat_type=ChatType.GROUP)
        await cache.accept([make_message(1), to_group], None)
        for reader_id, floors in ((READER, {"g7": Floor(9, 1)}), (READER + 1, {})):
            await know_deletes(cache, reader_id, floors=floors)

        assert (await tail(cache)).cleared == NO_FLOOR
        assert (await tail(cache, conversation_id="g7")).cleared == Floor(9, 1)
        assert (await tail(cache, conversation_id="g7", reader_id=READER + 1)).cleared == NO_FLOOR
        seen = await view(cache, 1, 2, 3)
        assert [seen.cleared(FIRST_ID + n) for n in (1, 2, 3)] == [NO_FLOOR, Floor(9, 1), None]
        assert (await view(cache, 2, reader_id=READER + 1)).cleared(FIRST_ID + 2) == NO_FLOOR

    @pytest.mark.parametrize(
        "given", [(9, 10, 8), (10, 9), (HIGH - 1, HIGH, HIGH - 2), (99, 100, 11)]
    )
    async def test_never_sink(self, cache: MessageCache, given: tuple[int, ...]) -> None:
        for seq, floor_id in enumerate(given):
            floors = {CONVERSATION: Floor(floor_id, seq), f"g{seq + 1}": Floor(1, 1)}
            await know_deletes(cache, READER, floors=floors)

        highest = max(given)
        assert (await tail(cache)).cleared == Floor(highest, given.index(highest))

    async def test_may_be_thousands(self, cache: MessageCache) -> None:
        floors = {f"g{n}": Floor(n, n + 1) for n in range(1, 2_001)}
        await know_deletes(cache, READER, [FIRST_ID + 1], floors=floors)

        for n in (1, 500, 501, 1_000, 1_001, 2_000):
            assert (await tail(cache, conversation_id=f"g{n}")).cleared == Floor(n, n + 1)
        assert (await view(cache, 1)).deleted == {FIRST_ID + 1}

    async def test_are_forgotten_with_the_deletes(
        self, cache: MessageCache, run_out: RunOut
    ) -> None:
        await know_deletes(cache, READER, floors={CONVERSATION: Floor(9, 1)})
        run_out()
        await cache.add_deletes(READER, [], floors={"g7": Floor(9, 1)})
        assert (await tail(cache)).cleared is None

    async def test_of_before_a_restart_do_not_count_and_stay(
        self, cache: MessageCache, restart: Restart
    ) -> None:
        await know_deletes(cache, READER, floors={CONVERSATION: Floor(9, 1)})
        await restart()
        assert (await tail(cache)).cleared is None
        await know_deletes(cache, READER, floors={CONVERSATION: Floor(8, 1)})
        assert (await tail(cache)).cleared == Floor(9, 1)
