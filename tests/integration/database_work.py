"""Measure how much a database does, and how it reaches its rows, alike for each vendor."""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from django.db import connection

STEPS_A_TICK = 10
STATEMENTS = ("SELECT", "INSERT", "UPDATE", "DELETE")


@contextmanager
def work() -> Iterator[list[int]]:
    """Append to the list, at the end, the rows (or SQLite's steps) of this thread's connection."""
    done: list[int] = []
    if connection.vendor == "mysql":
        before = _rows_read()
        yield done
        done.append(_rows_read() - before)
        return
    ticks = itertools.count()
    connection.ensure_connection()
    connection.connection.set_progress_handler(lambda: next(ticks) and None, STEPS_A_TICK)
    try:
        yield done
    finally:
        connection.connection.set_progress_handler(None, STEPS_A_TICK)
    done.append(next(ticks) * STEPS_A_TICK)


@contextmanager
def counted() -> Iterator[list[str]]:
    """Collect the first words of this thread's statements on tables."""
    words: list[str] = []

    def note(execute: Any, sql: str, *rest: Any) -> Any:
        if (word := sql.partition(" ")[0]) in STATEMENTS:
            words.append(word)
        return execute(sql, *rest)

    with connection.execute_wrapper(note):
        yield words


def plan(query: str) -> list[str]:
    """Return a line a table: `message by message_conversation_id`, and `, sorted` if it sorts."""
    with connection.cursor() as cursor:
        if connection.vendor == "mysql":
            cursor.execute(f"EXPLAIN {query}")
            names = [column[0] for column in cursor.description]
            steps = [dict(zip(names, row, strict=True)) for row in cursor]
            return [_mysql_step(step) for step in steps if not _is_derived(step["table"])]
        cursor.execute(f"EXPLAIN QUERY PLAN {query}")
        return _sqlite_steps([row[3] for row in cursor])


def gather_statistics(table: str) -> None:
    """Gather InnoDB's statistics now, as InnoDB does later by itself; do nothing on SQLite."""
    if connection.vendor == "mysql":
        with connection.cursor() as cursor:
            cursor.execute(f"ANALYZE TABLE {table}")


def _rows_read() -> int:
    with connection.cursor() as cursor:
        cursor.execute("SHOW SESSION STATUS LIKE 'Handler_read%'")
        return sum(int(value) for _, value in cursor.fetchall())


def _is_derived(table: str | None) -> bool:
    return table is None or table.startswith("<")


def _mysql_step(step: dict[str, str | None]) -> str:
    key = None if step["type"] == "ALL" else step["key"]
    return f"{step['table']} by {key}" + (", sorted" if "filesort" in (step["Extra"] or "") else "")


def _sqlite_steps(details: list[str]) -> list[str]:
    steps: list[str] = []
    for detail in details:
        if match := re.match(r"(SEARCH|SCAN) (\w+)(?: USING (?:COVERING )?INDEX (\w+))?", detail):
            key = match[3] or ("PRIMARY" if "PRIMARY KEY" in detail else None)
            steps.append(f"{match[2]} by {key if match[1] == 'SEARCH' else None}")
        elif "TEMP B-TREE" in detail:
            steps[-1] += ", sorted"
    return [step for step in steps if not step.startswith("subquery")]
