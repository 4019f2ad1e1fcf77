"""Test conversations on the database of the settings in force: statements, races and limits."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Callable
from dataclasses import replace

import pytest
from django.db import connection, connections
from msgspec import structs

from messaging.conf import settings
from messaging.domain.backend_errors import StoreUnavailable
from messaging.domain.conversations import Mark, Participant, marked
from messaging.domain.message import ChatType
from messaging.ports.conversations import Since, Span
from messaging.store.apply import apply_batch
from messaging.store.conversation_tables import ConversationTables
from messaging.store.conversations import DatabaseConversations, change_participant, mark
from messaging.store.groups import CALL_S
from messaging.store.tables import Tables
from tests.contract.conversations.rigs import InDatabase
from tests.integration.database import held_participant
from tests.integration.database_work import counted
from tests.support.messages import make_message

pytestmark = pytest.mark.django_db(transaction=True)
on_mysql = pytest.mark.skipif(
    connections["default"].vendor != "mysql", reason="MySQL and MariaDB alone"
)
PEERS = range(100, 200)
NAMES = [f"1_{peer_id}" for peer_id in PEERS]


@pytest.fixture
async def rig() -> AsyncIterator[InDatabase]:
    opened = InDatabase(settings())
    yield opened
    await opened.close()


@pytest.fixture
def tables() -> ConversationTables:
    return ConversationTables(connection)


def talk() -> None:
    """Store a message of user 1 to each of many users, and one to a group."""
    sent = [make_message(n, to_id=n) for n in PEERS]
    to_group = make_message(1, to_id=7, chat_type=ChatType.GROUP)
    apply_batch(connection, [*sent, to_group], hinted=False)


READING: dict[str, tuple[Callable[[ConversationTables], object], int]] = {
    "a list": (lambda t: t.listing(1), 2),
    "a list of groups": (lambda t: t.listing(5), 1),
    "spans": (lambda t: t.spans([Span(name, 0, 1, 20) for name in NAMES]), 1),
    "changes": (lambda t: t.changes([Since(name, 0, 1) for name in NAMES], limit=20), 1),
    "deletes": (lambda t: t.deletes_since(1, [Since(name, 0, 1) for name in NAMES], limit=9), 1),
    "unread": (
        lambda t: t.count_unread(
            [Participant(user_id=1, conversation_id=name) for name in NAMES],
            up_to=dict.fromkeys(NAMES, 9),
            most=999,
        ),
        1,
    ),
    "readers": (lambda t: t.readers(make_message(1), has_read=True, after=0, limit=20), 2),
}


@pytest.mark.parametrize("name", READING)
def test_many_conversations_are_read_by_one_statement(
    tables: ConversationTables, name: str
) -> None:
    talk()
    Tables(connection).insert_participants([(5, "g7"), (6, "g7")])
    read, statements = READING[name]

    with counted() as words:
        read(tables)

    assert words == ["SELECT"] * statements


def test_marks_of_many_are_one_statement_to_write() -> None:
    talk()
    marks = [Mark(user_id=n, conversation_id=f"1_{n}", read_seq=1) for n in PEERS]

    with counted() as words:
        assert len(mark(connection, marks, 77)) == len(PEERS)
    assert words == ["SELECT", "INSERT", "SELECT"]

    with counted() as words:
        assert len(mark(connection, marks, 77)) == len(PEERS)
    assert words == ["SELECT"]


def test_a_change_of_a_participant_takes_three_statements() -> None:
    talk()
    with counted() as words:
        pin = lambda facts: structs.replace(facts.participant, pin_time=1)  # noqa: E731
        change_participant(connection, 1, NAMES[0], pin)
    assert words == ["SELECT", "SELECT", "UPDATE"]


@pytest.mark.parametrize(
    "meanwhile",
    [
        {"read_seq": 3, "delivered_seq": 4, "read_time": 1, "rev": 7},
        {"read_seq": 9, "delivered_seq": 9, "read_time": 1, "rev": 7},
        {"delivered_seq": 9, "is_marked_unread": True, "rev": 8},
        {"is_in": False, "rev": 9},
        {"is_in": False, "is_marked_unread": True},
        {},
    ],
    ids=["lower", "higher", "marked unread", "out", "out and marked", "nothing"],
)
@pytest.mark.parametrize("given", [(5, 6), (3, 3), (1, 0), (0, 6), (0, 1)])
async def test_what_changes_before_a_mark_is_written_stays(
    rig: InDatabase, given: tuple[int, int], meanwhile: dict[str, object]
) -> None:
    now = structs.replace(Participant(user_id=1, conversation_id="1_2"), **meanwhile)
    await rig.put(now)
    of_mark = Mark(
        user_id=1,
        conversation_id="1_2",
        read_seq=given[0],
        delivered_seq=given[1],
        ends_unread=given[0] > 0,
    )
    row = (1, "1_2", given[0], max(given), 77, int(given[0] == 0))

    await rig.conversations.with_tables(lambda tables: tables.raise_positions([row]))

    after = marked(now, of_mark, last_seq=99, now_ms=77) if now.is_in else now
    assert (await rig.participants())[1, "1_2"] == after


@on_mysql
async def test_a_call_that_waits_for_a_lock_ends_in_time(rig: InDatabase) -> None:
    await rig.store.apply([make_message(1)])
    wanted = Mark(user_id=2, conversation_id="1_2", read_seq=1)

    with held_participant(2, "1_2"):
        began_s = time.monotonic()
        with pytest.raises(StoreUnavailable):
            await rig.conversations.mark([wanted], now_ms=77)
        assert time.monotonic() - began_s < CALL_S + 0.5

    told = await rig.conversations.mark([wanted], now_ms=78)
    assert told[2, "1_2"].read_seq == 1


async def test_no_time_of_the_settings_exceeds_that_of_a_call() -> None:
    for timeout_s in (30.0, 0.2):
        opened = DatabaseConversations(replace(settings(), store_timeout_s=timeout_s))
        assert opened._threads._timeout_s < min(timeout_s, CALL_S) + 0.001
        await opened.close()
