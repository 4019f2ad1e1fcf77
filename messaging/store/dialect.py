"""What the tables' statements need to know about a database; `mysql` and `sqlite` say it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol

from django.db.backends.base.base import BaseDatabaseWrapper

from messaging.store import mysql, sqlite


class Dialect(Protocol):
    """The few words of SQL in which the databases differ."""

    @property
    def GREATEST(self) -> str: ...

    @property
    def LEAST(self) -> str: ...

    @property
    def SHARED(self) -> str:
        """After a SELECT: wait for those who are writing these rows."""

    @property
    def NOW_MS(self) -> str:
        """Milliseconds since 1970 by the database's clock."""

    def by_index(self, table: str, name: str) -> str:
        """After this table's name: find rows by this index, whatever the statistics say.

        `PRIMARY` is the primary key of a table that is given its ids, as `message` is.
        """

    def insertion(
        self, connection: BaseDatabaseWrapper, head: str, rows: Sequence[Sequence[Any]], tail: str
    ) -> tuple[str, Sequence[Any] | None]:
        """What to execute for `{head}{rows}{tail}`, with which parameters.

        `rows` are of int, str and None alone.
        """

    def given(self, column: str) -> str:
        """Inside `or_update`: the value that was to be inserted."""

    def or_keep(self, key: str) -> str:
        """After an INSERT: leave a row alone that has the same primary key."""

    def or_update(self, key: str, assignments: str) -> str:
        """After an INSERT: change a row instead that has the same primary key."""


_DIALECTS: dict[str, Dialect] = {"mysql": mysql, "sqlite": sqlite}


def dialect_of(vendor: str) -> Dialect:
    """The dialect of a Django connection's `vendor`."""
    return _DIALECTS[vendor]
