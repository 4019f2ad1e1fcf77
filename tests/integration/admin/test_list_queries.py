"""Check that the admin's lists do not count, skip rows, or work more on a longer table."""

from __future__ import annotations

import itertools
import re
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext

from messaging import models
from messaging.admin import message_list
from messaging.domain.ids import first_id_at, wall_clock_ms
from messaging.domain.message import ChatType, Message
from messaging.store.rows import COLUMNS, to_row
from tests.integration.admin.pages import (
    BLOCKS,
    DEAD_LETTERS,
    GROUPS,
    MEMBERS,
    MESSAGES,
    USERS,
    page,
)
from tests.integration.database_work import gather_statistics, plan, work
from tests.support.messages import make_message

FEW, MANY = 500, 5_000
START = first_id_at(wall_clock_ms() - 3_600_000)  # every message is of the last hour
# A conversation that ended long ago, and one with a third of all messages.
OLD, LIVELY = "1_2", "5_20"
FILTERS: dict[str, tuple[str | None, ...]] = {
    "persist_status": (None, "PERSISTED", "PENDING"),
    "status": (None, "RECALLED"),
    "chat_type": (None, "GROUP"),
    "sent": (None, "week"),
    "q": (None, OLD, LIVELY, "from:1", "from:5", str(START + 5)),
}
COMBINATIONS = [
    {name: value for name, value in zip(FILTERS, values, strict=True) if value is not None}
    for values in itertools.product(*FILTERS.values())
]


def insert(numbers: range) -> None:
    """Insert messages, some recalled, some in groups, and some PENDING, as no row should be."""

    def message(n: int) -> Message:
        if n < 60:
            return make_message(n)
        if n % 3 == 0:
            return make_message(n, from_user_id=5, to_id=20)
        made = make_message(n, from_user_id=6 + n % 7, to_id=30 + n % 5, chat_type=ChatType.GROUP)
        return made.recalled(made.send_time) if n % 50 == 0 else made

    models.Message.objects.bulk_create(
        [
            models.Message(**(dict(zip(COLUMNS, to_row(message(n)), strict=True)) | changes(n)))
            for n in numbers
        ],
        batch_size=1_000,
    )
    gather_statistics("message")


def changes(n: int) -> dict[str, Any]:
    return {"id": START + n, "seq": n, "persist_status": "PENDING" if n % 25 == 0 else "PERSISTED"}


@pytest.fixture
def narrow(monkeypatch: pytest.MonkeyPatch) -> None:
    """Make pages and searches small, so that the table is long beside them."""
    monkeypatch.setattr("messaging.admin.keyset.KeysetAdmin.list_per_page", 10)
    monkeypatch.setattr(message_list, "ROWS_SEARCHED", (20, 60))
    monkeypatch.setattr(message_list, "MOST_PENDING", 15)


def queries(visit: Callable[[], Any], table: str) -> list[str]:
    """Return the statements on this table that a visit makes."""
    with CaptureQueriesContext(connection) as captured:
        page(visit())
    return [query["sql"] for query in captured if re.search(f'[`"]{table}[`"]', query["sql"])]


def check(query: str) -> None:
    assert not re.search(r"COUNT\(", query, re.IGNORECASE), query
    assert not re.search(r"OFFSET|LIMIT \d+, ", query), query


def costs(client: Client, addresses: Sequence[dict[str, str]]) -> list[int]:
    found = []
    for address in addresses:
        with work() as done:
            page(client.get(MESSAGES, address))
        found += done
    return found


def test_no_page_of_messages_counts_or_skips_and_each_query_uses_an_index(
    desk: Client, narrow: None
) -> None:
    insert(range(1, MANY))

    for combination in COMBINATIONS:
        asked = queries(partial(desk.get, MESSAGES, combination), "message")
        assert asked, combination
        for query in asked:
            check(query)
            steps = plan(query)
            assert not [step for step in steps if "by None" in step], (steps, query)
            if not re.search(r"[`\"]id[`\"] (IN|=) ", query):  # a few ids may be sorted
                assert not [step for step in steps if "sorted" in step], (steps, query)


def test_a_page_of_messages_costs_the_same_on_a_table_ten_times_as_long(
    desk: Client, narrow: None
) -> None:
    desk.get(MESSAGES)  # the first visit does the work of once a process
    insert(range(1, FEW))
    few = costs(desk, COMBINATIONS)
    insert(range(FEW, MANY))
    many = costs(desk, COMBINATIONS)

    for combination, before, after in zip(COMBINATIONS, few, many, strict=True):
        assert after < before * 1.5 + 200, combination


def test_a_page_of_messages_costs_the_same_however_deep_it_lies(desk: Client, narrow: None) -> None:
    insert(range(1, MANY))
    deep = {"before": str(START + MANY // 2)}
    searches = [{"q": q} if q else {} for q in (None, LIVELY, "from:5")]
    firsts = searches + [search | {"chat_type": "PRIVATE"} for search in searches]

    desk.get(MESSAGES)
    shallow = costs(desk, firsts)
    deeper = costs(desk, [first | deep for first in firsts])

    for first, before, after in zip(firsts, shallow, deeper, strict=True):
        assert after < before * 1.5 + 200, first


@pytest.mark.parametrize(
    ("address", "table"),
    [
        (DEAD_LETTERS, "dead_letter"),
        (f"{DEAD_LETTERS}?state=all&before=50", "dead_letter"),
        (f"{DEAD_LETTERS}?state=REPLAYED&q=7", "dead_letter"),
        (f"{DEAD_LETTERS}?q=+", "dead_letter"),
        (GROUPS, "chat_group"),
        (f"{GROUPS}?q=fam&before=50", "chat_group"),
        (f"{MEMBERS}?group=1", "chat_group_member"),
        (f"{MEMBERS}?group=1&q=u7&before=50", "chat_group_member"),
        (BLOCKS, "user_block"),
        (f"{BLOCKS}?q=3&before=200", "user_block"),
        (f"{BLOCKS}?q=of:3", "user_block"),
        (USERS, "auth_user"),
        (f"{USERS}?q=u7&before=50", "auth_user"),
    ],
)
def test_no_other_list_counts_or_skips_and_each_query_uses_an_index(
    superuser: Client, address: str, table: str
) -> None:
    insert_others()
    gather_statistics(table)

    asked = queries(partial(superuser.get, address), table)

    assert asked
    for query in asked:
        check(query)
        assert f"{table} by None" not in " ".join(plan(query)), query


def insert_others() -> None:
    users = User.objects.bulk_create([User(username=f"u{n}") for n in range(300)])
    groups = models.ChatGroup.objects.bulk_create(
        [models.ChatGroup(name=f"family {n}") for n in range(300)]
    )
    models.ChatGroupMember.objects.bulk_create(
        [models.ChatGroupMember(group=group, user=user) for group in groups[:3] for user in users]
    )
    models.UserBlock.objects.bulk_create(
        [
            models.UserBlock(blocker=blocker, blocked=blocked)
            for blocker in users[:3]
            for blocked in users[3:]
        ]
    )
    models.DeadLetter.objects.bulk_create(
        [
            models.DeadLetter(
                topic="t", partition=0, offset=str(n), key=b"k", value=b"v", message_id=n
            )
            for n in range(300)
        ]
    )
