"""SQLite 3.31 and newer: its side of `Dialect`. A writing transaction has the whole database."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from django.db.backends.base.base import BaseDatabaseWrapper

GREATEST = "MAX"
LEAST = "MIN"
SHARED = ""
NOW_MS = "CAST((julianday('now') - 2440587.5) * 86400000 AS INTEGER)"


def by_index(table: str, name: str) -> str:
    # A bigint key is not the rowid; it has an index of its own.
    return f" INDEXED BY {f'sqlite_autoindex_{table}_1' if name == 'PRIMARY' else name}"


def insertion(
    connection: BaseDatabaseWrapper, head: str, rows: Sequence[Sequence[Any]], tail: str
) -> tuple[str, list[Any]]:
    row = f"({', '.join(['%s'] * len(rows[0]))})"
    values = ", ".join([row] * len(rows))
    return f"{head}{values}{tail}", [value for each in rows for value in each]


def given(column: str) -> str:
    return f"excluded.{column}"


def or_keep(key: str) -> str:
    return f" ON CONFLICT ({key}) DO NOTHING"


def or_update(key: str, assignments: str) -> str:
    return f" ON CONFLICT ({key}) DO UPDATE SET {assignments}"
