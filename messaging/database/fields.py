"""Define column types that mean the same on every database.

Used by the models alone. Django's CharField leaves three things to the database: MySQL takes the
character set of the schema (latin1 on some servers), MySQL's collations fold case, accents and
trailing spaces, and SQLite ignores the length. A message must come back byte for byte and a key
must match byte for byte, so these fields state character set, collation and length.
"""

from __future__ import annotations

from typing import Any, ClassVar

from django.db import models
from django.db.backends.base.base import BaseDatabaseWrapper


class BoundedText(models.CharField):  # type: ignore[type-arg]
    """Hold any Unicode text of at most `max_length` code points; the database refuses more."""

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
    """Hold ASCII text in byte order; comparisons in MySQL ignore trailing spaces."""

    mysql_type = "varchar(%d) CHARACTER SET ascii COLLATE ascii_bin"


class ExactText(BoundedText):
    """Hold ASCII text that is compared byte for byte, trailing spaces too.

    No collation that MySQL and MariaDB share compares so. The column is binary on both, and raw
    SQL reads bytes.
    """

    mysql_type = "varbinary(%d)"

    def from_db_value(self, value: Any, *_: object) -> str | None:
        return value.decode() if isinstance(value, bytes) else value
