"""MySQL 8 and MariaDB 10.11: their side of `Dialect`.

INSERT IGNORE is no way to insert if absent here: it also cuts what is too long.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from django.db.backends.base.base import BaseDatabaseWrapper

GREATEST = "GREATEST"
LEAST = "LEAST"
SHARED = " LOCK IN SHARE MODE"
NOW_MS = "TIMESTAMPDIFF(MICROSECOND, '1970-01-01', UTC_TIMESTAMP(3)) DIV 1000"


def by_index(table: str, name: str) -> str:
    return f" FORCE INDEX ({name})"


def insertion(
    connection: BaseDatabaseWrapper, head: str, rows: Sequence[Sequence[Any]], tail: str
) -> tuple[str, None]:
    """With the values in the text: the driver's own way of putting them there takes seven times
    as long."""
    quoted = connection.connection.string_literal  # escapes as this connection's server wants it
    literals = [
        b",".join(
            [b"%d" % v if type(v) is int else b"NULL" if v is None else quoted(v) for v in row]
        )
        for row in rows
    ]
    return f"{head}({b'),('.join(literals).decode()}){tail}", None


def given(column: str) -> str:
    return f"VALUES({column})"


def or_keep(key: str) -> str:
    column = key.partition(",")[0]
    return f" ON DUPLICATE KEY UPDATE {column} = {column}"


def or_update(key: str, assignments: str) -> str:
    return f" ON DUPLICATE KEY UPDATE {assignments}"
