"""Test what a store gives back of conversations and of deletes."""

from __future__ import annotations

from messaging.domain.message import Message
from messaging.ports.store import Deletes, MessageStore, Tail
from tests.contract.store.rows import without_numbers
from tests.support.messages import FIRST_ID, make_message


class TestReading:
    async def test_pages_are_newest_first_without_holes(self, store: MessageStore) -> None:
        messages = [make_message(n) for n in range(7)]
        await store.apply([*messages, make_message(100, to_id=3)])

        walked: list[Message] = []
        while page := await store.page("1_2", before=walked[-1].id if walked else None, limit=3):
            walked += page

        assert without_numbers(walked) == messages[::-1]
        assert [m.seq for m in walked] == [7, 6, 5, 4, 3, 2, 1]

    async def test_a_tail_has_the_newest_rows_and_counts_all(self, store: MessageStore) -> None:
        messages = [make_message(n) for n in range(4)]
        await store.apply([*messages[:3], messages[3].recalled(7)])

        tail = await store.tail("1_2", limit=2)

        assert [m.id for m in tail.rows] == [messages[3].id, messages[2].id]
        assert tail.total == 4
        assert await store.tail("5_6", limit=2) == Tail((), 0)

    async def test_nothing_is_found_of_nothing(self, store: MessageStore) -> None:
        assert await store.get([]) == {}
        assert await store.find_idempotency_records([]) == {}
        assert await store.deleted_among(1, []) == set()


class TestPassing:
    async def test_the_nth_visible_row_below_an_id(self, store: MessageStore) -> None:
        await store.apply([make_message(n) for n in range(10)])
        await store.apply([make_message(n, to_id=3) for n in range(20, 25)])
        for number in (7, 5):
            await store.delete_for_user(1, [FIRST_ID + number], "1_2")
        await store.delete_for_user(2, [FIRST_ID + 8], "1_2")

        async def nth(
            count: int, *, reader_id: int = 1, before: int = 9, above: int = -1
        ) -> int | None:
            found = await store.nth_visible(
                "1_2",
                reader_id=reader_id,
                before=FIRST_ID + before,
                count=count,
                above=FIRST_ID + above,
            )
            return None if found is None else found - FIRST_ID

        assert [await nth(count) for count in range(1, 9)] == [8, 6, 4, 3, 2, 1, 0, None]
        assert [await nth(count, reader_id=2) for count in (1, 2, 8, 9)] == [7, 6, 0, None]
        assert await nth(1, before=0) is None
        assert await nth(1, before=100) == 9
        assert [await nth(count, above=3) for count in (3, 4)] == [4, None]


class TestDeletes:
    async def test_hide_several_messages_at_once(self, store: MessageStore) -> None:
        ids = [FIRST_ID + 1, FIRST_ID, FIRST_ID + 2]
        assert await store.delete_for_user(1, ids, "1_2") == ids

        assert await store.deleted_among(1, ids) == set(ids)
        assert await store.deleted_among(2, ids) == set()

    async def test_hide_a_message_that_is_not_stored_yet(self, store: MessageStore) -> None:
        for _ in range(2):
            await store.delete_for_user(1, [FIRST_ID], "1_2")

        assert await store.deleted_among(1, [FIRST_ID, FIRST_ID + 1]) == {FIRST_ID}
        assert await store.deleted_among(2, [FIRST_ID]) == set()

    async def test_are_told_newest_first_with_the_id_they_are_complete_above(
        self, store: MessageStore
    ) -> None:
        for message_id in (5, 3, 8):
            await store.delete_for_user(1, [message_id], "1_2")

        assert await store.deletes_of(1, limit=3) == Deletes((8, 5, 3), floor=0)
        assert await store.deletes_of(1, limit=2) == Deletes((8, 5), floor=3)
        assert await store.deletes_of(2, limit=2) == Deletes((), floor=0)
