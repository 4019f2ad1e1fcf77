"""Test each store inspector: in memory, and the database of the settings in force."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from dataclasses import replace

import pytest
from msgspec import structs

from messaging import models
from messaging.conf import settings
from messaging.domain.ids import wall_clock_ms
from messaging.domain.message import Message
from messaging.ports.audit import Mentions, Numbering, StoredRow, StoreInspector
from messaging.ports.cached import IdempotencyRecord
from messaging.ports.store import CacheHint, DeadLetter, DeadLetterState, MessageStore
from messaging.store.database import DatabaseStore
from messaging.store.inspector import DatabaseInspector
from messaging.testing.inspectors import MemoryStoreInspector
from messaging.testing.store import MemoryStore
from tests.support.messages import FIRST_ID, make_message

LETTER = DeadLetter("im-message-private", 3, "1", b"1_2", b"x", "bad_data", "too long")


class StoreCase:
    """Hold a store and its inspector, with functions that write past the store.

    `alter` changes a row; `drop_key` deletes the idempotency record of a clientMsgId.
    """

    def __init__(
        self,
        store: MessageStore,
        inspector: StoreInspector,
        alter: Callable[..., None],
        drop_key: Callable[[str], None],
    ) -> None:
        self.store = store
        self.inspector = inspector
        self.alter = alter
        self.drop_key = drop_key


def in_memory() -> StoreCase:
    store = MemoryStore()
    inspector = MemoryStoreInspector(store)

    def alter(message_id: int, *, persist_status: str = "PERSISTED", **changes: object) -> None:
        store.rows[message_id] = structs.replace(store.rows[message_id], **changes)  # type: ignore[arg-type]
        if persist_status == "PENDING":
            inspector.unmarked.add(message_id)

    def drop_key(name: str) -> None:
        store.idempotency_records = {
            key: record for key, record in store.idempotency_records.items() if key[1] != name
        }

    return StoreCase(store, inspector, alter, drop_key)


def in_the_database() -> StoreCase:
    def alter(message_id: int, **changes: object) -> None:
        models.Message.objects.filter(pk=message_id).update(**changes)

    def drop_key(name: str) -> None:
        models.MessageKey.objects.filter(client_msg_id=name).delete()

    return StoreCase(DatabaseStore(settings()), DatabaseInspector(settings()), alter, drop_key)


@pytest.fixture(
    params=["memory", pytest.param("database", marks=pytest.mark.django_db(transaction=True))]
)
async def case(request: pytest.FixtureRequest) -> AsyncIterator[StoreCase]:
    opened = in_memory() if request.param == "memory" else in_the_database()
    yield opened
    await opened.inspector.close()
    await opened.store.close()


@pytest.fixture
def beside() -> Callable[..., object]:
    """Return a function that runs a blocking call off the loop, as Django demands."""
    from asgiref.sync import sync_to_async

    return lambda function, *args, **kwargs: sync_to_async(function)(*args, **kwargs)


async def stored(case: StoreCase, *messages: Message) -> dict[int, Message]:
    return {row.id: row for row in (await case.store.apply(messages)).rows}


async def test_walks_all_rows_with_what_their_keys_stand_for(case: StoreCase) -> None:
    messages = [make_message(n, client_msg_id=f"Key {n}" if n % 2 else None) for n in range(10)]
    rows = await stored(case, *messages)

    found: list[StoredRow] = []
    while part := await case.inspector.rows_after(found[-1].message.id if found else 0, limit=3):
        assert len(part) <= 3
        found += part

    assert found == [
        StoredRow(
            rows[m.id],
            "PERSISTED",
            IdempotencyRecord(m.id, m.body_hash) if m.client_msg_id else None,
            change=0,
            last_rev=0,
        )
        for m in messages
    ]
    assert await case.inspector.rows([messages[4].id, messages[1].id, 5]) == [found[1], found[4]]
    assert await case.inspector.newest_id() == messages[-1].id


async def test_tells_the_change_of_each_row_and_the_last_one_of_its_conversation(
    case: StoreCase,
) -> None:
    first, second, other = make_message(1), make_message(2), make_message(3, to_id=9)
    await stored(case, first, second, other)
    await stored(case, first.recalled(7))
    await stored(case, second.recalled(7))

    rows = await case.inspector.rows_after(0, limit=9)

    assert [(r.message.rev, r.change, r.last_rev) for r in rows] == [
        (1, 1, 2),
        (2, 2, 2),
        (0, 0, 0),
    ]
    assert await case.inspector.rows([m.id for m in (first, second, other)]) == rows


async def test_an_empty_store_has_no_rows(case: StoreCase) -> None:
    assert await case.inspector.newest_id() == 0
    assert await case.inspector.rows_after(0, limit=5) == []
    assert await case.inspector.rows([]) == []
    assert await case.inspector.letters([]) == {}


async def test_tells_the_states_of_a_messages_letters(case: StoreCase) -> None:
    letters = [
        replace(LETTER, offset=str(n), message_id=message_id)
        for n, message_id in enumerate([7, 7, 8, None])
    ]
    await case.store.save_dead_letters(letters)
    await case.store.settle_dead_letters([letters[1].source], DeadLetterState.REPLAYED)

    assert await case.inspector.letters([7, 8, 9]) == {
        7: {DeadLetterState.OPEN, DeadLetterState.REPLAYED},
        8: {DeadLetterState.OPEN},
    }


async def test_tells_where_else_a_message_is_named(case: StoreCase) -> None:
    first, repeat, other = (make_message(n, content="x", client_msg_id="a") for n in (1, 2, 3))
    await stored(case, first)
    await stored(case, repeat)
    await case.store.delete_for_user(1, [first.id], first.conversation_id)
    await case.store.delete_for_user(2, [first.id], first.conversation_id)
    await case.store.record_hints(
        [CacheHint(first.id), CacheHint(repeat.id), CacheHint(first.id, 2)]
    )

    assert await case.inspector.mentions(first.id) == Mentions(None, deletes=2, hints=2)
    assert await case.inspector.mentions(repeat.id) == Mentions(first.id, deletes=0, hints=1)
    assert await case.inspector.mentions(other.id) == Mentions(None, deletes=0, hints=0)


async def test_tells_every_record_of_a_name(case: StoreCase) -> None:
    first, other_body, reserved = (make_message(n, client_msg_id="Name") for n in (1, 2, 3))
    case_differs = make_message(4, client_msg_id="name")
    of_another = make_message(5, from_user_id=9, client_msg_id="Name")
    await case.store.reserve([reserved])
    await stored(case, other_body, first, case_differs, of_another)

    found = await case.inspector.records_named((1, "Name"), limit=5)

    assert [(r.message_id, r.body_hash, r.is_stored) for r in found] == [
        (first.id, first.body_hash, True),
        (other_body.id, other_body.body_hash, True),
        (reserved.id, reserved.body_hash, False),
    ]
    assert await case.inspector.records_named((1, "Name"), limit=2) == found[:2]
    assert await case.inspector.records_named((1, "other"), limit=2) == []


async def test_tells_of_which_records_there_is_a_letter(case: StoreCase) -> None:
    await case.store.save_dead_letters([LETTER, replace(LETTER, offset="2")])
    others = [replace(LETTER, partition=4), replace(LETTER, topic="other")]

    kept = await case.inspector.kept([letter.source for letter in (LETTER, *others)])

    assert kept == {LETTER.source}
    assert await case.inspector.kept([]) == set()


async def test_walks_conversations(case: StoreCase) -> None:
    await stored(case, *(make_message(n, to_id=100 + n % 5) for n in range(10)))

    found: list[tuple[str, int, int]] = []
    while part := await case.inspector.conversations_after(found[-1][0] if found else "", limit=2):
        found += part

    assert found == [(f"1_{100 + n}", 2, FIRST_ID + 5 + n) for n in range(5)]


@pytest.mark.parametrize(
    ("number", "numbering"),
    [(2, Numbering(2, 2, 2, 2)), (3, Numbering(2, 2, 2, 3)), (1, Numbering(2, 2, 1, 1))],
)
async def test_tells_what_a_conversations_rows_are_numbered(
    case: StoreCase, beside: Callable[..., object], number: int, numbering: Numbering
) -> None:
    await stored(case, make_message(1), make_message(2))
    await beside(case.alter, FIRST_ID + 2, seq=number)  # type: ignore[misc]

    assert await case.inspector.numberings(["1_2"]) == {"1_2": numbering}


async def test_marks_rows_that_are_marked_wrongly(
    case: StoreCase, beside: Callable[..., object]
) -> None:
    rows = await stored(case, make_message(1), make_message(2))
    await beside(case.alter, FIRST_ID + 1, persist_status="PENDING")  # type: ignore[misc]
    assert [r.persist_status for r in await case.inspector.rows(list(rows))] == [
        "PENDING",
        "PERSISTED",
    ]

    for _ in range(2):
        await case.inspector.mark_rows(list(rows))

    assert {r.persist_status for r in await case.inspector.rows(list(rows))} == {"PERSISTED"}
    assert await case.store.get(list(rows)) == rows


async def test_blanks_tombstones_and_nothing_else(
    case: StoreCase, beside: Callable[..., object]
) -> None:
    recalled, other = make_message(1), make_message(2)
    rows = await stored(case, recalled.recalled(9), other)
    said = {"content": "still here", "url": "/x"}
    await beside(case.alter, recalled.id, **said)  # type: ignore[misc]

    for _ in range(2):
        await case.inspector.blank_tombstones([recalled.id, other.id])

    assert await case.store.get([recalled.id, other.id]) == rows


async def test_restores_keys_and_takes_none_away(
    case: StoreCase, beside: Callable[..., object]
) -> None:
    first, second = (make_message(n, client_msg_id=f"k{n}") for n in (1, 2))
    await stored(case, first, second)
    await beside(case.drop_key, "k1")  # type: ignore[misc]
    assert [row.key is None for row in await case.inspector.rows([first.id, second.id])] == [
        True,
        False,
    ]

    for _ in range(2):
        await case.inspector.restore_keys([first, structs.replace(second, id=second.id + 5)])

    keys = [row.key for row in await case.inspector.rows([first.id, second.id])]
    assert keys == [
        IdempotencyRecord(first.id, first.body_hash),
        IdempotencyRecord(second.id, second.body_hash),
    ]


async def test_counts_the_letters_of_each_state(case: StoreCase) -> None:
    assert await case.inspector.letters_by_state() == {}
    before_ms = wall_clock_ms()
    letters = [replace(LETTER, offset=str(n)) for n in range(3)]
    await case.store.save_dead_letters(letters)
    await case.store.settle_dead_letters([letters[1].source], DeadLetterState.DISCARDED)

    found = await case.inspector.letters_by_state()

    assert {state: each.count for state, each in found.items()} == {
        DeadLetterState.OPEN: 2,
        DeadLetterState.DISCARDED: 1,
    }
    assert all(before_ms - 1 <= each.oldest_ms <= wall_clock_ms() for each in found.values())


async def test_counts_the_hints(case: StoreCase) -> None:
    assert await case.inspector.hints_noted() == 0
    await case.store.record_hints([CacheHint(7), CacheHint(8, user_id=1)])
    assert await case.inspector.hints_noted() == 2


async def test_tells_the_time_of_the_database(case: StoreCase) -> None:
    await case.inspector.ping()
    before_ms = wall_clock_ms()
    assert before_ms - 2 <= await case.inspector.clock_ms() <= wall_clock_ms() + 2
