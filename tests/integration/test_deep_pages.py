"""A page of a conversation costs the same, however long the conversation and however deep."""

from __future__ import annotations

import pytest
from django.db import connection

from messaging.store.apply import apply_batch
from messaging.store.tables import Tables
from tests.integration.database_work import gather_statistics, work
from tests.messages import FIRST_ID, make_message

pytestmark = pytest.mark.django_db(transaction=True)
LENGTH = 4_000
PAGE = 20


@pytest.fixture
def tables() -> Tables:
    """A database in which one conversation is nearly all there is."""
    for start in range(0, LENGTH, 500):
        apply_batch(connection, [make_message(n) for n in range(start, start + 500)])
    gather_statistics("message")
    return Tables(connection)


def test_a_deep_page_costs_what_the_first_one_costs(tables: Tables) -> None:
    with work() as first:
        tables.page("1_2", before=None, limit=PAGE)
    with work() as deep:
        rows = tables.page("1_2", before=FIRST_ID + LENGTH // 2, limit=PAGE)

    assert rows[0].id == FIRST_ID + LENGTH // 2 - 1
    assert deep[0] <= first[0] * 1.5 + 20


def test_the_tail_costs_the_same_in_a_long_conversation(tables: Tables) -> None:
    apply_batch(connection, [make_message(LENGTH + n, to_id=3) for n in range(PAGE)])

    with work() as short:
        tables.tail("1_3", limit=PAGE)
    with work() as long:
        tables.tail("1_2", limit=PAGE)

    assert long[0] <= short[0] * 1.5 + 20
