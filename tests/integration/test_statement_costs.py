"""Check that each statement of the store reads only the rows asked for, beside a million others.

The tests run on MariaDB alone, whose sequence engine makes the million rows within seconds. No test
depends on statistics that the server happens to have: none were gathered.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import pytest
from django.db import connection, connections
from msgspec.structs import replace
from pytest_django import DjangoDbBlocker

from messaging.domain.conversations import Head, Participant
from messaging.domain.groups import Group, Member, OutReason, Role
from messaging.domain.message import Message
from messaging.ports.audit import HINTS_SEARCHED
from messaging.ports.cache_service import LeaseRequest
from messaging.ports.cached import IdempotencyRecord
from messaging.ports.conversations import Since, Span
from messaging.ports.log import Position
from messaging.ports.store import CacheHint, DeadLetter, DeadLetterState
from messaging.store import database
from messaging.store.conversation_tables import ConversationTables
from messaging.store.group_inspector import InspectedGroups
from messaging.store.inspector import InspectedTables
from tests.integration.database_work import work
from tests.support.messages import FIRST_ID, make_message

ROWS = 1_000_000
FEWER = {
    "cache_arrear": 100_000,
    "dead_letter": 100_000,
    "lease": 50_000,
    "auth_user": 100_000,
    "chat_group": 100_000,
    "chat_group_member": 100_000,
    "chat_group_request": 100_000,
    "chat_group_ban": 100_000,
    "participant": 150_000,
    "message_change": 100_000,
}
PIECE = 50_000
AT_ONCE = 500  # the most rows of one statement
LARGE = 7  # this group has every user as a member
BUSY = "1_2"  # this conversation has every second message
TALKATIVE = 200_202  # this user has 500 conversations
READS_OF_EACH = 4  # a key, its row, and a neighbour looked at

pytestmark = [
    pytest.mark.django_db,
    pytest.mark.skipif(connections["default"].vendor != "mysql", reason="MariaDB alone"),
]

IDS = [FIRST_ID + 1_999 * n for n in range(1, AT_ONCE + 1)]
KEYS = [(1, f"k{1_999 * n:07}", "h") for n in range(1, AT_ONCE + 1)]
PLACES = [Position("t", n // 10_000, f"{n:07}") for n in range(1, 199 * AT_ONCE, 199)]
USERS = [199 * n for n in range(1, AT_ONCE + 1)]
PARTICIPANTS = [(i, f"g{LARGE}") for i in USERS]
OF_ONE = [f"{n:07}_9" for n in range(101_000, 101_500)]  # conversations of this user
QUIET = [f"{n}_5000" for n in range(10, 110)]  # conversations of 500 messages each
MEMBERS = [Member(user_id=i, role=Role.MEMBER, nickname="x") for i in USERS]
ALIASES = [each + 2_000_000 for each in IDS]  # ids of repeats of these messages
FILL = {
    "message": (
        "(id, conversation_id, seq, from_user_id, to_id, chat_type, msg_type, content, at_user_ids,"
        " client_msg_id, body_hash, status, send_time, persist_status)"
        f" SELECT {FIRST_ID} + seq, IF(seq % 2, '{BUSY}', CONCAT(seq DIV 1000 + 10, '_5000')), seq,"
        " 1, 2, 1, 1, 'x', '[]', CONCAT('k', LPAD(seq, 7, '0')), 'h', 0, seq, 'PERSISTED'"
    ),
    "message_key": (
        "(from_user_id, client_msg_id, message_id, body_hash)"
        f" SELECT 1, CONCAT('k', LPAD(seq, 7, '0')), {FIRST_ID} + seq, 'h'"
    ),
    "message_alias": (
        f"(message_id, owner_id) SELECT {FIRST_ID} + 2000000 + seq, {FIRST_ID} + seq"
    ),
    "conversation": (
        "(id, last_seq, last_message_id)"
        f" SELECT CONCAT(LPAD(seq, 7, '0'), '_9'), 1, {FIRST_ID} + seq"
    ),
    "message_change": (
        f"(message_id, conversation_id, rev) SELECT {FIRST_ID} + 2 * seq - 1, '{BUSY}', seq"
    ),
    "message_delete": (
        "(user_id, message_id, conversation_id, rev)"
        f" SELECT seq DIV 1000, {FIRST_ID} + seq, '{BUSY}', seq"
    ),
    "cache_arrear": f"(message_id) SELECT {FIRST_ID} + seq",
    "dead_letter": (
        "(topic, `partition`, `offset`, `key`, value, reason, error, attempts, message_id, state,"
        " created_at, updated_at)"
        " SELECT 't', seq DIV 10000, LPAD(seq, 7, '0'), '', '', '', '', 1,"
        f" {FIRST_ID} + seq, 'OPEN', NOW(6), NOW(6)"
    ),
    "lease": "(name, owner, expires_at) SELECT CONCAT('worker:', seq), 'o', 0",
    "auth_user": (
        "(id, username, password, first_name, last_name, email, is_superuser, is_staff, is_active,"
        " date_joined) SELECT seq, CONCAT('u', seq), '', '', '', '', 0, 0, 1, NOW(6)"
    ),
    "chat_group": (
        "(id, name, created_at, creator_id, request_id)"
        " SELECT seq, 'group', NOW(6), seq DIV 1000, CONCAT('r', seq)"
    ),
    "chat_group_member": (
        "(group_id, user_id, role, joined_at)"
        f" SELECT {LARGE}, seq, IF(seq = 1, 'owner', IF(seq < 52, 'admin', 'member')), NOW(6)"
    ),
    "chat_group_request": f"(group_id, user_id, text, time) SELECT {LARGE}, seq, '', 0",
    "chat_group_ban": f"(group_id, user_id, banned_by, time) SELECT {LARGE}, seq, 1, 0",
    "participant": (
        "(user_id, conversation_id) SELECT IF(seq <= 100000, seq, 200000 + seq DIV 500),"
        f" IF(seq <= 100000, 'g{LARGE}', CONCAT(LPAD(seq, 7, '0'), '_9'))"
    ),
}


class EveryTable(InspectedTables, InspectedGroups, ConversationTables):
    """Hold all statements over one connection."""


@pytest.fixture(scope="module")
def tables(django_db_setup: None, django_db_blocker: DjangoDbBlocker) -> Iterator[EveryTable]:
    """Return the tables with a million rows each, and empty them at the end."""
    with django_db_blocker.unblock():
        with connection.cursor() as cursor:
            cursor.execute("SELECT VERSION()")
            if "MariaDB" not in cursor.fetchone()[0]:
                pytest.skip("MySQL has no sequence engine")
            cursor.execute("SET SESSION unique_checks = 0")
            for table, rows in FILL.items():
                for first in range(
                    1, FEWER.get(table, ROWS), PIECE
                ):  # each statement stays within the driver's timeout
                    last = first + PIECE - 1
                    cursor.execute(f"INSERT INTO {table} {rows} FROM seq_{first}_to_{last}")
        try:
            yield EveryTable(connection)
        finally:
            with connection.cursor() as cursor:
                cursor.execute("SET SESSION foreign_key_checks = 0")  # or it truncates no user
                for table in FILL:
                    cursor.execute(f"TRUNCATE TABLE {table}")
                cursor.execute("SET SESSION foreign_key_checks = 1")


@dataclass(frozen=True)
class Statement:
    """Describe a statement about `asked` rows; it may read a few rows for each of them."""

    call: Callable[[EveryTable], object]
    asked: int = AT_ONCE


def _new(count: int) -> list[Message]:
    return [make_message(2 * ROWS + n, to_id=3, client_msg_id=f"n{n}") for n in range(count)]


_STATEMENTS: dict[str, Statement] = {
    "messages": Statement(lambda t: t.messages(IDS)),
    "page": Statement(lambda t: t.page(BUSY, before=IDS[250], limit=AT_ONCE)),
    "page of the newest": Statement(lambda t: t.page(BUSY, before=None, limit=20), 20),
    "tail": Statement(lambda t: t.tail(BUSY, limit=AT_ONCE)),
    "insert_messages": Statement(
        lambda t: t.insert_messages([replace(m, seq=1) for m in _new(AT_ONCE)])
    ),
    "raise_messages": Statement(
        lambda t: t.raise_messages([m.recalled(1) for m in t.messages(IDS).values()]), 2 * AT_ONCE
    ),
    "extend_conversations": Statement(
        lambda t: t.extend_conversations(
            {
                f"{1_999 * n:07}_9": Head(last_seq=1, last_rev=1, last_id=1)
                for n in range(1, AT_ONCE + 1)
            }
        ),
        2 * AT_ONCE,
    ),
    "take_keys": Statement(
        lambda t: t.take_keys(
            {(2, f"t{n}", "h"): IdempotencyRecord(1, "h") for n in range(AT_ONCE)}
        )
    ),
    "reserve_keys": Statement(
        lambda t: t.reserve_keys(dict.fromkeys(KEYS, IdempotencyRecord(1, "h"))), 2 * AT_ONCE
    ),
    "idempotency_records": Statement(lambda t: t.idempotency_records(KEYS), 2 * AT_ONCE),
    "idempotency_records_of_names": Statement(
        lambda t: t.idempotency_records_of_names(KEYS), 2 * AT_ONCE
    ),
    "reassign_keys": Statement(
        lambda t: t.reassign_keys(dict.fromkeys(KEYS, IdempotencyRecord(1, "h"))), 2 * AT_ONCE
    ),
    "find": Statement(lambda t: t.find(ALIASES), 3 * AT_ONCE),
    "aliases": Statement(lambda t: t.aliases(ALIASES)),
    "insert_aliases": Statement(
        lambda t: t.insert_aliases({each + 3_000_000: each for each in IDS}), 2 * AT_ONCE
    ),
    "nth_visible": Statement(
        lambda t: t.nth_visible(BUSY, reader_id=5, before=IDS[250], count=AT_ONCE)
    ),
    "put_changes": Statement(
        lambda t: t.put_changes([replace(make_message(n), rev=1) for n in range(AT_ONCE)])
    ),
    "insert_deletes": Statement(
        lambda t: t.insert_deletes([(5, each, BUSY, 1) for each in IDS]),
    ),
    "known_deletes": Statement(lambda t: t.known_deletes([(5, each) for each in IDS])),
    "lock_participants": Statement(lambda t: t.lock_participants(PARTICIPANTS)),
    "raise_participants": Statement(
        lambda t: t.raise_participants(dict.fromkeys(PARTICIPANTS, 1)), 2 * AT_ONCE
    ),
    "reserve_or_owner": Statement(
        lambda t: t.reserve_or_owner(make_message(7, client_msg_id="k0000007")), 2
    ),
    "deletes_of": Statement(lambda t: t.deletes_of(IDS)),
    "deletes_of one": Statement(lambda t: t.deletes_of(IDS[:1]), 1),
    "deleted_among": Statement(lambda t: t.deleted_among(5, IDS)),
    "deletes_of_user": Statement(lambda t: t.deletes_of_user(5, limit=AT_ONCE)),
    "deletes_of_user with floors": Statement(lambda t: t.deletes_of_user(TALKATIVE, limit=AT_ONCE)),
    "floors_of": Statement(lambda t: t.floors_of(TALKATIVE)),
    "floors_of one": Statement(lambda t: t.floors_of(TALKATIVE, OF_ONE[7]), 1),
    "insert_hints": Statement(lambda t: t.insert_hints([CacheHint(each) for each in IDS])),
    "hints": Statement(lambda t: t.hints(limit=AT_ONCE)),
    "delete_hints": Statement(lambda t: t.delete_hints([199 * n for n in range(1, 501)])),
    "take_lease": Statement(lambda t: t.take_lease("worker:77", "me", 1_000), 3),
    "take_worker": Statement(lambda t: t.take_worker(LeaseRequest(78, "me", 1, 1, 2)), 5),
    "announce_loss": Statement(lambda t: t.announce_loss("me", 1), 4),
    "withdraw_loss": Statement(lambda t: t.withdraw_loss("me"), 1),
    "is_loss_announced": Statement(lambda t: t.is_loss_announced(besides="me"), 1),
    "ping": Statement(lambda t: t.ping(), 0),
    "clock_ms": Statement(lambda t: t.clock_ms(), 0),
    "letters_by_state": Statement(lambda t: t.letters_by_state(), 100_002),
    "hints_noted": Statement(lambda t: t.hints_noted(), 100_000),
    "mentions": Statement(lambda t: t.mentions(ALIASES[7]), HINTS_SEARCHED + 3),
    "records_named": Statement(lambda t: t.records_named((1, "k0000007"), limit=5), 5),
    "newest_id": Statement(lambda t: t.newest_id(), 1),
    "rows_after": Statement(lambda t: t.rows_after(IDS[100], limit=AT_ONCE), 3 * AT_ONCE),
    "rows": Statement(lambda t: t.rows(IDS), 3 * AT_ONCE),
    "letters": Statement(lambda t: t.letters(IDS)),
    "kept": Statement(lambda t: t.kept(PLACES)),
    "conversations_after": Statement(lambda t: t.conversations_after("05", limit=AT_ONCE)),
    "numberings": Statement(lambda t: t.numberings([f"{n + 10}_5000" for n in range(100)]), 50_100),
    "change_rows": Statement(lambda t: t.change_rows("content = ''", "status = 1", IDS)),
    "lock_conversation": Statement(lambda t: t.lock_conversation("0000007_9"), 1),
    "insert_participants": Statement(
        lambda t: t.insert_participants([(i, f"g{LARGE}") for i in range(99_900, 100_400)])
    ),
    "insert_hint": Statement(lambda t: t.insert_hint(CacheHint(1)), 1),
    "lock_group": Statement(lambda t: t.lock_group(LARGE), 1),
    "group_of_request": Statement(lambda t: t.group_of_request(99, "r99007"), 1),
    "insert_group": Statement(lambda t: t.insert_group(Group(id=0, name="x"), 1, "x"), 1),
    "update_group": Statement(
        lambda t: t.update_group(Group(id=LARGE, name="x"), Group(id=LARGE, name="y")), 1
    ),
    "find_group": Statement(lambda t: t.find_group(LARGE, 50_000), 3),
    "facts": Statement(
        # Of each user: the tables that are joined. Of the group: its administrators.
        lambda t: t.facts(Group(id=LARGE, name="x"), 1, USERS),
        4 * AT_ONCE,
    ),
    "insert_members": Statement(lambda t: t.insert_members(LARGE + 1, MEMBERS), 2 * AT_ONCE),
    "update_members": Statement(lambda t: t.update_members(LARGE, MEMBERS), 2 * AT_ONCE),
    "members": Statement(lambda t: t.members(LARGE, role=None, after=None, limit=AT_ONCE)),
    "members of the end": Statement(
        lambda t: t.members(LARGE, role=None, after=(Role.MEMBER, 90_000), limit=20), 20
    ),
    "insert_requests": Statement(
        lambda t: t.insert_requests(LARGE, dict.fromkeys(USERS, "x"), 1), 2 * AT_ONCE
    ),
    "join_requests": Statement(lambda t: t.join_requests(LARGE, after=50_000, limit=20), 20),
    "delete_requests": Statement(lambda t: t.delete_requests(LARGE, USERS), 2 * AT_ONCE),
    "insert_bans": Statement(lambda t: t.insert_bans(LARGE, USERS, 1, 1)),
    "delete_bans": Statement(lambda t: t.delete_bans(LARGE, USERS), 2 * AT_ONCE),
    "join_participants": Statement(
        lambda t: t.join_participants(f"g{LARGE}", USERS, floor=(1, 1), read_seq=1), 2 * AT_ONCE
    ),
    "part_participants": Statement(
        lambda t: t.part_participants(f"g{LARGE}", dict.fromkeys(USERS, OutReason.LEFT)),
        2 * AT_ONCE,
    ),
    "delete_members": Statement(lambda t: t.delete_members(LARGE, USERS), 2 * AT_ONCE),
    "groups_after": Statement(lambda t: t.groups_after(50_000, limit=AT_ONCE)),
    "headcounts": Statement(lambda t: t.headcounts([LARGE]), 100_001),
    "members_after": Statement(lambda t: t.members_after(LARGE, 50_000, limit=AT_ONCE)),
    "members_among": Statement(lambda t: t.members_among(PARTICIPANTS), 2 * AT_ONCE),
    "participants_after": Statement(
        lambda t: t.participants_after((50_000, f"g{LARGE}"), limit=AT_ONCE), 2 * AT_ONCE
    ),
    "participants": Statement(lambda t: t.participants(PARTICIPANTS), 2 * AT_ONCE),
    "recount": Statement(lambda t: t.recount(LARGE), 100_002),
    "let_in": Statement(lambda t: t.let_in((50_000, f"g{LARGE}")), 6),
    "let_out": Statement(lambda t: t.let_out((50_000, f"g{LARGE}")), 6),
    "listing": Statement(lambda t: t.listing(TALKATIVE), 2 * AT_ONCE),
    "listing of some": Statement(lambda t: t.listing(TALKATIVE, OF_ONE[:100]), 200),
    "peers": Statement(lambda t: t.peers(OF_ONE, TALKATIVE)),
    "seats": Statement(lambda t: t.seats(PARTICIPANTS)),
    "raise_positions": Statement(
        lambda t: t.raise_positions([(*seat, 3, 4, 1, 0) for seat in PARTICIPANTS]), 2 * AT_ONCE
    ),
    "lock_with_pins": Statement(lambda t: t.lock_with_pins(TALKATIVE, OF_ONE[7])),
    "head": Statement(lambda t: t.head(OF_ONE[7]), 1),
    "update_participant": Statement(
        lambda t: t.update_participant(Participant(user_id=TALKATIVE, conversation_id=OF_ONE[7])), 1
    ),
    "readers": Statement(
        lambda t: t.readers(
            replace(make_message(7), conversation_id=OF_ONE[7]), has_read=True, after=0, limit=20
        ),
        5,
    ),
    "spans": Statement(lambda t: t.spans([Span(BUSY, 500_000, 600_000, 1_000)])),
    "spans of many": Statement(
        lambda t: t.spans([Span(name, 0, 100_000, 20, True) for name in QUIET])
    ),
    "changes": Statement(
        lambda t: t.changes([Since(BUSY, 50_000, 90_000)], limit=AT_ONCE), 2 * AT_ONCE
    ),
    "deletes_since": Statement(
        lambda t: t.deletes_since(5, [Since(BUSY, 5_100, 5_900)], limit=AT_ONCE), 2 * AT_ONCE
    ),
    "count_unread": Statement(
        lambda t: t.count_unread(
            [Participant(user_id=5, conversation_id=BUSY, read_seq=500_000)],
            up_to={BUSY: ROWS},
            most=AT_ONCE,
        ),
        2 * AT_ONCE,
    ),
    "count_unread of many": Statement(
        lambda t: t.count_unread(
            [Participant(user_id=5, conversation_id=name) for name in QUIET],
            up_to=dict.fromkeys(QUIET, ROWS),
            most=5,
        ),
        2 * AT_ONCE,
    ),
    "save dead letters": Statement(lambda t: database._save_dead_letters(connection, _letters())),
    "settle dead letters": Statement(
        lambda t: database._settle_dead_letters(connection, PLACES, DeadLetterState.REPLAYED),
        2 * AT_ONCE,
    ),
}


def _letters() -> list[DeadLetter]:
    """Return letters of which half are kept already and half are new."""
    places = [*PLACES[: AT_ONCE // 2], *(Position("u", 0, str(n)) for n in range(AT_ONCE // 2))]
    return [
        DeadLetter(p.topic, p.partition, p.offset, b"", b"", reason="r", error="e") for p in places
    ]


@pytest.mark.parametrize("name", _STATEMENTS)
def test_reads_what_it_is_asked_about(tables: EveryTable, name: str) -> None:
    statement = _STATEMENTS[name]
    with work() as read:
        statement.call(tables)

    assert read[0] <= READS_OF_EACH * statement.asked + 20


def test_every_statement_is_here() -> None:
    methods = {
        name
        for kind in EveryTable.__mro__
        for name, each in vars(kind).items()
        if inspect.isfunction(each) and not name.startswith("_")
    }
    assert methods == {name.partition(" ")[0] for name in _STATEMENTS} - {"save", "settle"}
