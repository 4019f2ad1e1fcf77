"""List dead letters: which are shown, and by which index they are found."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

from django.contrib import admin
from django.contrib.admin.views.main import ChangeList
from django.db.models import QuerySet
from django.http import HttpRequest

from messaging.admin.keyset import KeysetChangeList
from messaging.ports.store import DeadLetterState

ALL = "all"


class StateFilter(admin.SimpleListFilter):
    """Filter by state; without a choice, show the open letters, which are still to be decided."""

    title = parameter_name = "state"

    def lookups(self, request: HttpRequest, model_admin: Any) -> Iterable[tuple[str, str]]:
        return [*((state.value, state.value.lower()) for state in DeadLetterState), (ALL, ALL)]

    def choices(self, changelist: ChangeList) -> Iterator[Any]:
        for value, title in self.lookup_choices:
            yield {
                "selected": value == (self.value() or DeadLetterState.OPEN),
                "query_string": changelist.get_query_string({"state": value}),
                "display": title,
            }

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        chosen = self.value() or DeadLetterState.OPEN.value
        return queryset if chosen == ALL else queryset.filter(state=chosen)


class DeadLetterChangeList(KeysetChangeList):
    def index(self) -> str | None:
        if self.query.strip():
            return "dead_letter_message_id"
        every = self.params.get(StateFilter.parameter_name) == ALL
        return None if every else "dead_letter_state_id"

    def get_queryset(
        self, request: HttpRequest, exclude_parameters: list[str | None] | None = None
    ) -> QuerySet[Any]:
        return super().get_queryset(request, exclude_parameters).defer("key", "value")
