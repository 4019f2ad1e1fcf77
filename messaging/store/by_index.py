"""Make a queryset find its rows by one index, for the lists of the admin.

Without the hint, an optimizer that orders by id and stops at a page's end tends to read a whole
table for a few rows.
"""

from __future__ import annotations

from typing import Any, TypeVar

from django.db.backends.base.base import BaseDatabaseWrapper
from django.db.models import Model, QuerySet
from django.db.models.sql.compiler import SQLCompiler
from django.db.models.sql.datastructures import BaseTable

from messaging.store.dialect import dialect_of

Row = TypeVar("Row", bound=Model)


class _TableByIndex(BaseTable):
    def __init__(self, table_name: str, alias: str | None, index: str) -> None:
        super().__init__(table_name, alias)
        self.index = index

    def as_sql(self, compiler: SQLCompiler, connection: BaseDatabaseWrapper) -> tuple[str, Any]:
        sql, params = super().as_sql(compiler, connection)
        return sql + dialect_of(connection.vendor).by_index(self.table_name, self.index), params

    def relabeled_clone(self, change_map: dict[str | None, str]) -> _TableByIndex:
        alias = change_map.get(self.table_alias, self.table_alias)
        return _TableByIndex(self.table_name, alias, self.index)


def by_index(queryset: QuerySet[Row], index: str) -> QuerySet[Row]:
    """Return a queryset of the same rows, found by this index of their table.

    The index is named as in `Dialect.by_index`. The queryset's conditions must begin with the
    index's first column, or SQLite refuses the query.
    """
    hinted = queryset.all()
    query = hinted.query
    alias = query.get_initial_alias()
    table = query.alias_map[alias]
    query.alias_map[alias] = _TableByIndex(table.table_name, table.table_alias, index)
    return hinted
