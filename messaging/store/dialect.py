"""Name the SQL in which the databases differ; `mysql` and `sqlite` implement it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol

from django.db.backends.base.base import BaseDatabaseWrapper

from messaging.store import mysql, sqlite


class Dialect(Protocol):
    """Supply the few words of SQL in which the databases differ."""

    @property
    def GREATEST(self) -> str: ...

    @property
    def LEAST(self) -> str: ...

    @property
    def NOW_MS(self) -> str:
        """Return the expression for milliseconds since 1970 by the database's clock."""

    @property
    def FOR_UPDATE(self) -> str:
        """Return the suffix of a SELECT that locks the rows until the transaction ends."""

    def by_index(self, table: str, name: str) -> str:
        """Return the suffix of a table's name that forces this index, whatever the statistics say.

        `PRIMARY` is the primary key of a table that is given its ids, as `message` is.
        """

    def insertion(
        self, connection: BaseDatabaseWrapper, head: str, rows: Sequence[Sequence[Any]], tail: str
    ) -> tuple[str, Sequence[Any] | None]:
        """Return the statement for `{head}{rows}{tail}`, and its parameters.

        `rows` hold int, str and None alone.
        """

    def given(self, column: str) -> str:
        """Return the expression, inside `or_update`, for the value that was to be inserted."""

    def or_keep(self, key: str) -> str:
        """Return the suffix of an INSERT that keeps an existing row of the same primary key."""

    def or_update(self, key: str, assignments: str) -> str:
        """Return the suffix of an INSERT that changes an existing row of the same primary key."""


_DIALECTS: dict[str, Dialect] = {"mysql": mysql, "sqlite": sqlite}


def dialect_of(vendor: str) -> Dialect:
    """Return the dialect of a Django connection's `vendor`."""
    return _DIALECTS[vendor]
