"""MySQL 8 and MariaDB 10.11: their side of `Dialect`.

INSERT IGNORE is no way to insert if absent here: it also cuts what is too long.
"""

from __future__ import annotations

FOR_UPDATE = " FOR UPDATE"
GREATEST = "GREATEST"
LEAST = "LEAST"
NOW_MS = "TIMESTAMPDIFF(MICROSECOND, '1970-01-01', UTC_TIMESTAMP(3)) DIV 1000"


def by_index(table: str, name: str) -> str:
    return f" FORCE INDEX ({name})"


def given(column: str) -> str:
    return f"VALUES({column})"


def or_keep(key: str) -> str:
    column = key.partition(",")[0]
    return f" ON DUPLICATE KEY UPDATE {column} = {column}"


def or_update(key: str, assignments: str) -> str:
    return f" ON DUPLICATE KEY UPDATE {assignments}"
