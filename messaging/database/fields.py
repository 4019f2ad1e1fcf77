"""Column types that mean the same on every database. Used by the models alone.

Django's CharField leaves three things to the database: MySQL takes the character set of the schema
(latin1 on some servers), its collations fold case, accents and trailing spaces, and SQLite ignores
the length. A message must come back byte for byte and a key must match byte for byte, so these
fields say what they mean.
"""

from __future__ import annotations

from typing import Any, ClassVar

from django.db import models
from django.db.backends.base.base import BaseDatabaseWrapper


class BoundedText(models.CharField):  # type: ignore[type-arg]
    """Any Unicode text, at most `max_length` code points, refused by the database beyond that."""

    mysql_type: ClassVar[str] = "varchar(%d) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin"

    def db_type(self, connection: BaseDatabaseWrapper) -> str | None:
        if connection.vendor == "mysql":
            return self.mysql_type % self.max_length
        return super().db_type(connection)

    def db_check(self, connection: BaseDatabaseWrapper) -> str | None:
        if connection.vendor == "sqlite":
            return f'length("{self.column}") <= {self.max_length}'
        return super().db_check(connection)


class AsciiText(BoundedText):
    """ASCII text in byte order; MySQL ignores trailing spaces when it compares."""

    mysql_type = "varchar(%d) CHARACTER SET ascii COLLATE ascii_bin"


class ExactText(BoundedText):
    """ASCII text that is compared byte for byte, trailing spaces too.

    No collation that MySQL and MariaDB share does that, so the column is binary there and raw SQL
    reads bytes.
    """

    mysql_type = "varbinary(%d)"

    def from_db_value(self, value: Any, *_: object) -> str | None:
        return value.decode() if isinstance(value, bytes) else value
