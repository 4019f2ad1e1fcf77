"""Test the rows that a store keeps of messages and of their recalls."""

from __future__ import annotations

import pytest
from msgspec import structs

from messaging.domain.backend_errors import BadData
from messaging.domain.groups import FOR_GOOD, Event, Notice, Role
from messaging.domain.notices import notice_message
from messaging.ports.cached import IdempotencyRecord
from messaging.ports.store import ApplyResult, MessageStore, Tail
from tests.contract.store.rows import without_numbers
from tests.support.messages import FIRST_ID, make_message


class TestApply:
    async def test_numbers_new_messages_of_a_conversation_in_order_of_id(
        self, store: MessageStore
    ) -> None:
        messages = [make_message(n) for n in range(5)] + [make_message(9, to_id=3)]

        result = await store.apply(messages[::-1])

        assert [(row.id - FIRST_ID, row.seq) for row in result.rows] == [
            *((0, 1), (1, 2), (2, 3), (3, 4), (4, 5)),
            (9, 1),
        ]
        assert await store.get([m.id for m in messages]) == {row.id: row for row in result.rows}

    async def test_goes_on_numbering_where_it_stopped(self, store: MessageStore) -> None:
        await store.apply([make_message(5)])

        (row,) = (await store.apply([make_message(3)])).rows

        assert row.seq == 2  # the message came late, and takes no lower seq

    async def test_changes_nothing_when_repeated(self, store: MessageStore) -> None:
        messages = [make_message(n, client_msg_id=f"k{n}") for n in range(3)]

        first = await store.apply(messages)
        again = await store.apply([*messages, make_message(3)])

        assert again.rows[:3] == first.rows
        assert again.rows[3].seq == 4
        assert not again.duplicates
        assert not again.conflicts

    async def test_names_the_rows_that_it_has_inserted(self, store: MessageStore) -> None:
        known, new = make_message(1, content="x", client_msg_id="k"), make_message(2)
        repeat = make_message(3, content="x", client_msg_id="k")
        assert (await store.apply([known])).fresh == {known.id}

        result = await store.apply([known.recalled(9), new, repeat])

        assert result.fresh == {new.id}

    async def test_names_no_message_of_a_taken_id_as_inserted(self, store: MessageStore) -> None:
        await store.apply([make_message(1)])
        result = await store.apply([make_message(1, to_id=77)])
        assert (result.conflicts, result.fresh) == ((make_message(1, to_id=77),), frozenset())

    async def test_of_nothing_is_nothing(self, store: MessageStore) -> None:
        assert await store.apply([]) == ApplyResult()

    async def test_keeps_every_field(self, store: MessageStore) -> None:
        message = make_message(
            1, url="https://e.org/ü?x=%s&y='\"\\", at_user_ids=(3, 2**63 - 1), client_msg_id="k"
        )

        await store.apply([message])

        assert await store.get([message.id]) == {message.id: structs.replace(message, seq=1)}

    async def test_keeps_a_notice(self, store: MessageStore) -> None:
        notices = [
            Notice(event=Event.CREATED),
            Notice(
                event=Event.UPDATED,
                user_ids=(3, 2**63 - 1),
                count=7,
                changed=("name", "joinMode"),
                role=Role.ADMIN,
                muted_until=FOR_GOOD,
            ),
        ]
        rows = [
            notice_message(FIRST_ID + n, group_id=5, actor_id=1, notice=notice)
            for n, notice in enumerate(notices)
        ]

        await store.apply(rows)

        tail = await store.tail("g5", limit=9)
        assert [row.notice for row in tail.rows[::-1]] == notices
        assert without_numbers(tail.rows[::-1]) == rows

    @pytest.mark.parametrize(
        "content",
        [
            "👩‍👩‍👧‍👦🏴󠁧󠁢󠁷󠁬󠁳󠁿",
            "e\u0301 against \u00e9",
            "\u202eright to left\u202c שלום",
            "  kept  \t\r\n",
            "%s %% ? :x ' \" \\ \\0 ` -- ; \x1a \x7f",
            "NUL \x00 inside",
            "\U0010ffff\ufffe",
            "𝒳" * 5_000,
        ],
    )
    async def test_returns_text_byte_for_byte(self, store: MessageStore, content: str) -> None:
        message = make_message(1, content=content)

        await store.apply([message])

        assert (await store.get([message.id]))[message.id].content.encode() == content.encode()

    async def test_refuses_a_batch_with_a_content_that_is_too_long(
        self, store: MessageStore
    ) -> None:
        good, bad = make_message(1, client_msg_id="k"), make_message(2, content="x" * 5_001)

        with pytest.raises(BadData):
            await store.apply([good, bad])

        assert await store.get([good.id, bad.id]) == {}
        assert await store.find_idempotency_records([(1, "k", good.body_hash)]) == {}
        (row,) = (await store.apply([good])).rows
        assert row.seq == 1

    async def test_overwrites_nothing_when_an_id_belongs_to_another_message(
        self, store: MessageStore
    ) -> None:
        first = make_message(1, client_msg_id="k")
        foreign = [
            structs.replace(first, from_user_id=8),
            structs.replace(first, conversation_id="8_9"),
            structs.replace(first, send_time=first.send_time + 1),
            structs.replace(first, client_msg_id="l"),
            structs.replace(first, body_hash="0" * 32).recalled(5),
            structs.replace(first, client_msg_id=None).recalled(5),
        ]
        stored = (await store.apply([first])).rows

        for other in foreign:
            result = await store.apply([other, make_message(7)])
            assert result.conflicts == (other,)
            assert [row.id for row in result.rows] == [make_message(7).id]

        assert (await store.get([first.id]))[first.id] == stored[0]
        assert (
            await store.find_idempotency_records(
                [(8, "k", first.body_hash), (1, "l", first.body_hash)]
            )
            == {}
        )
        assert (await store.tail("1_2", limit=9)).total == 2
        assert await store.tail("8_9", limit=9) == Tail((), 0)


class TestRecall:
    async def test_takes_the_content_and_leaves_the_place(self, store: MessageStore) -> None:
        message = make_message(1, url="/a.png", at_user_ids=(5,), client_msg_id="k")
        await store.apply([message, make_message(2)])

        (row,) = (await store.apply([message.recalled(77)])).rows

        assert row == structs.replace(message.recalled(77), seq=1, rev=1)
        assert (await store.get([message.id]))[message.id] == row

    async def test_before_its_message_gets_a_place_and_is_not_undone(
        self, store: MessageStore
    ) -> None:
        message = make_message(1, client_msg_id="k")

        (tombstone,) = (await store.apply([message.recalled(77)])).rows
        (row,) = (await store.apply([message])).rows

        assert tombstone == row == structs.replace(message.recalled(77), seq=1)
        key = (1, "k", message.body_hash)
        assert await store.find_idempotency_records([key]) == {
            key: IdempotencyRecord(message.id, message.body_hash)
        }

    async def test_said_twice_keeps_the_earlier_time(self, store: MessageStore) -> None:
        message = make_message(1)
        for recall_time in (80, 70, 90):
            await store.apply([message.recalled(recall_time)])

        assert (await store.get([message.id]))[message.id].recall_time == 70

    @pytest.mark.parametrize(
        ("recalls", "kept"),
        [
            ([(80, 7), (70, 9)], (70, 9)),
            ([(70, 9), (80, 7)], (70, 9)),
            ([(70, 9), (80, None)], (70, 9)),
            ([(80, None), (70, 9)], (70, 9)),
            ([(70, 9), (70, None)], (70, None)),
            ([(70, None), (70, 9)], (70, None)),
            ([(70, 9), (70, 7), (70, 8)], (70, 7)),
            ([(70, 7), (70, 9)], (70, 7)),
        ],
    )
    async def test_said_twice_is_of_the_earlier_one(
        self,
        store: MessageStore,
        recalls: list[tuple[int, int | None]],
        kept: tuple[int, int | None],
    ) -> None:
        message = make_message(1)
        await store.apply([message])
        for recall_time, recalled_by in recalls:
            await store.apply([message.recalled(recall_time, recalled_by)])

        (row,) = (await store.apply([message])).rows
        assert (row.recall_time, row.recalled_by) == kept
        assert await store.get([message.id]) == {message.id: row}

    async def test_of_a_repeat_tells_who_has_recalled_the_first_send(
        self, store: MessageStore
    ) -> None:
        first, repeat = (make_message(n, content="x", client_msg_id="k") for n in (1, 2))
        await store.apply([first])

        result = await store.apply([repeat.recalled(77, 9)])

        row = structs.replace(first.recalled(77, 9), seq=1, rev=1)
        assert result.rows == (row,)
        assert result.duplicates == {repeat.id: row}
        assert await store.get([first.id]) == {first.id: row}

    async def test_stores_no_content_of_a_tombstone_that_has_some(
        self, store: MessageStore
    ) -> None:
        message = make_message(1)
        strange = structs.replace(message.recalled(7), content="secret", url="/secret")

        await store.apply([strange])
        await store.apply([strange, make_message(2)])

        assert (await store.get([message.id]))[message.id] == structs.replace(
            message.recalled(7), seq=1
        )
