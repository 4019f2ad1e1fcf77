"""Implement `Dialect` for SQLite 3.31 and newer.

No row locks are needed: a writing transaction locks the whole database.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from django.db.backends.base.base import BaseDatabaseWrapper

GREATEST = "MAX"
LEAST = "MIN"
NOW_MS = "CAST((julianday('now') - 2440587.5) * 86400000 AS INTEGER)"
FOR_UPDATE = ""


def by_index(table: str, name: str) -> str:
    # A bigint primary key is not the rowid, so SQLite makes an index of its own for the key.
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
