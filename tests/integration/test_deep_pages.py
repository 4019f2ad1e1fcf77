"""Check that a page costs the same, however long the conversation and however deep the page."""

from __future__ import annotations

import pytest
from django.db import connection

from messaging.store.apply import apply_batch
from messaging.store.tables import Tables
from tests.integration.database_work import gather_statistics, work
from tests.support.messages import FIRST_ID, make_message

pytestmark = pytest.mark.django_db(transaction=True)
LENGTH = 4_000
PAGE = 20


@pytest.fixture
def tables() -> Tables:
    """Return the tables of a database in which one conversation is nearly all there is."""
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


def test_skipping_reads_an_id_and_a_delete_for_each_message_and_no_text(tables: Tables) -> None:
    reader_id, count, before = 1, 1_000, FIRST_ID + LENGTH // 2
    elsewhere = [(reader_id, FIRST_ID + 100_000 + n, "1_2", 1) for n in range(2_000)]
    here = [(reader_id, before - n, "1_2", 1) for n in range(1, 11)]
    tables.insert_deletes([*elsewhere, *here])
    gather_statistics("message_delete")

    with work() as skipping:
        last = tables.nth_visible("1_2", reader_id=reader_id, before=before, count=count)
    with work() as reading:
        tables.page("1_2", before=before, limit=PAGE)

    assert last == before - count - 10
    per_row = reading[0] / PAGE
    assert skipping[0] <= 2 * max(per_row, 1) * count * 1.2
    with connection.cursor() as cursor:
        # The skip must not read one row for each of all these deletes.
        cursor.execute("SELECT COUNT(*) FROM message_delete")
        assert cursor.fetchone()[0] == 2_010
