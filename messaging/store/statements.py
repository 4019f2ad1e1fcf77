"""Run statements over one connection, in parts that the database takes.

Affected-row counts are read of deletions alone: Django makes MySQL count found rows as changed
ones.

Order: rows of every statement are sorted by primary key, because two writers that lock the same
rows in different orders deadlock.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any, TypeVar

from django.db.backends.base.base import BaseDatabaseWrapper

from messaging.domain.batched import batched
from messaging.store.dialect import Dialect, dialect_of

ROWS_PER_STATEMENT = 500  # 8,000 values; SQLite takes 32,766
BYTES_PER_STATEMENT = 4 * 1024 * 1024  # max_allowed_packet is 16 MiB or more

Item = TypeVar("Item")


class Statements:
    """Run the statements over one connection; the caller opens the transaction where one is due."""

    def __init__(self, connection: BaseDatabaseWrapper) -> None:
        self._connection = connection
        self._dialect: Dialect = dialect_of(connection.vendor)

    def _insert(
        self, table: str, columns: Sequence[str], rows: Sequence[Sequence[Any]], suffix: str = ""
    ) -> None:
        head = f"INSERT INTO {table} ({', '.join(columns)}) VALUES "
        with self._connection.cursor() as cursor:
            cursor.execute(*self._dialect.insertion(self._connection, head, rows, suffix))

    def _insert_one(self, table: str, columns: Sequence[str], row: Sequence[Any]) -> int:
        """Insert a row, and return the id that the database has given to the row."""
        head = f"INSERT INTO {table} ({', '.join(columns)}) VALUES "
        with self._connection.cursor() as cursor:
            cursor.execute(*self._dialect.insertion(self._connection, head, [row], ""))
            return int(self._connection.ops.last_insert_id(cursor, table, "id"))

    def _execute(self, query: str, values: Sequence[Any]) -> None:
        with self._connection.cursor() as cursor:
            cursor.execute(query, values)

    def _delete(self, table: str, condition: str, items: Iterable[Any], *before: Any) -> int:
        """Delete the rows of `{condition} (items)`, and return their number.

        `before`: the values of the condition, which come before the items.
        """
        deleted = 0
        for part in chunks(sorted(items)):
            with self._connection.cursor() as cursor:
                query = f"DELETE FROM {table} WHERE {condition} {listed(part)}"
                cursor.execute(query, [*before, *part])
                deleted += cursor.rowcount
        return deleted

    def _read(self, query: str, values: Sequence[Any]) -> list[tuple[Any, ...]]:
        with self._connection.cursor() as cursor:
            cursor.execute(query, values)
            return list(cursor.fetchall())

    def _read_all(
        self, query: str, items: Iterable[Any], *before: Any, end: str = ""
    ) -> Iterator[tuple[Any, ...]]:
        """Yield the rows of `{query} (items){end}`, in as many statements as the items take.

        `before`: the values of the query, which come before the items.
        """
        for part in chunks(sorted(items)):
            yield from self._read(f"{query} {listed(part)}{end}", [*before, *part])

    def _read_pairs(
        self,
        query: str,
        columns: tuple[str, str],
        pairs: Iterable[tuple[int, int]] | Iterable[tuple[int, str]],
        end: str = "",
    ) -> Iterator[tuple[Any, ...]]:
        """Yield the rows of the query whose two columns are one of the pairs, in order of pairs."""
        either = f"({columns[0]} = %s AND {columns[1]} = %s)"
        for part in chunks(sorted(pairs)):
            where = " OR ".join([either] * len(part))
            ordered = f" ORDER BY {', '.join(columns)}{end}"
            values = [value for pair in part for value in pair]
            yield from self._read(f"{query} WHERE {where}{ordered}", values)


def chunks(
    items: Sequence[Item], *, size_of: Callable[[Item], int] | None = None
) -> Iterator[Sequence[Item]]:
    """Yield the items in runs that fit one statement: by number and, with `size_of`, by bytes.

    A single item larger than the bound makes a run of its own.
    """
    if size_of is None:
        yield from batched(items, ROWS_PER_STATEMENT)
        return
    part: list[Item] = []
    taken_bytes = 0
    for item in items:
        size_bytes = size_of(item)
        full = len(part) == ROWS_PER_STATEMENT or taken_bytes + size_bytes > BYTES_PER_STATEMENT
        if part and full:
            yield part
            part, taken_bytes = [], 0
        part.append(item)
        taken_bytes += size_bytes
    if part:
        yield part


def listed(items: Sequence[object]) -> str:
    """Return one placeholder for each item, in parentheses."""
    return f"({', '.join(['%s'] * len(items))})"


def assigned(assignments: Mapping[str, str]) -> str:
    return ", ".join(f"{column} = {value}" for column, value in assignments.items())
