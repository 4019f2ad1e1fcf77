"""List messages: how they can be searched and filtered, and how many rows one page examines.

A search term and the time range are answered by an index. The other filters are not, because an
index for them would cost every message that is written. So a page with one of them examines a
bounded number of the newest rows, says so, and offers to search on from there.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, cast

from django.contrib import admin
from django.db.models import Min, Model, QuerySet
from django.http import HttpRequest

from messaging.admin.display import utc_time
from messaging.admin.keyset import KeysetChangeList
from messaging.domain.ids import first_id_at, private_conversation, time_of_id, wall_clock_ms
from messaging.domain.message import ID_MAX, ChatType, PersistStatus, Status
from messaging.models import Message
from messaging.store.by_index import by_index

PRIMARY = "PRIMARY"
BY_CONVERSATION = "message_conversation_id"
BY_SENDER = "message_sender_id"
BY_PERSIST_STATUS = "message_persist_send_time"
MOST_PENDING = 1_000  # no stored message should be PENDING
ROWS_SEARCHED = (1_000, 10_000, 50_000)  # rows; most pages are full after the first
SEARCH_HELP = (
    "A message id, a conversation (1_2 of two users, g5 of a group) or a sender (from:42). "
    "Text cannot be searched."
)
_MESSAGE = re.compile(r"([0-9]{1,19})")
_PRIVATE = re.compile(r"([0-9]{1,19})_([0-9]{1,19})")
_GROUP = re.compile(r"g([0-9]{1,19})")
_SENDER = re.compile(r"from:\s*([0-9]{1,19})")


@dataclass(frozen=True, slots=True)
class Search:
    """Hold an exact lookup, and the index that answers it."""

    lookup: dict[str, Any]
    index: str


def read_search(text: str) -> Search | None:
    """Return the lookup of a search term, or None for a term that cannot be searched.

    An empty term asks for everything.
    """
    text = text.strip()
    if not text:
        return Search({}, PRIMARY)
    if (match := _MESSAGE.fullmatch(text)) and int(match[1]) <= ID_MAX:
        return Search({"id": int(match[1])}, PRIMARY)
    if match := _PRIVATE.fullmatch(text):
        text = private_conversation(int(match[1]), int(match[2]))
        return Search({"conversation_id": text}, BY_CONVERSATION)
    if _GROUP.fullmatch(text):
        return Search({"conversation_id": text}, BY_CONVERSATION)
    if (match := _SENDER.fullmatch(text)) and int(match[1]) <= ID_MAX:
        return Search({"from_user_id": int(match[1])}, BY_SENDER)
    return None


class _ChoiceFilter(admin.SimpleListFilter):
    options: ClassVar[dict[str, str]]
    unindexed: ClassVar[frozenset[str]] = frozenset()  # choices whose rows have to be looked for

    def lookups(self, request: HttpRequest, model_admin: Any) -> Iterable[tuple[str, str]]:
        return self.options.items()

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        chosen = self.value()
        return self.pick(queryset, chosen) if chosen in self.options else queryset

    def pick(self, queryset: QuerySet[Any], chosen: str) -> QuerySet[Any]:
        raise NotImplementedError

    @property
    def needs_search(self) -> bool:
        return self.value() in self.unindexed


class PersistStatusFilter(_ChoiceFilter):
    """Filter by persist status.

    A stored message is PERSISTED. A stored message that is PENDING would be a defect.
    """

    title = "persist status"
    parameter_name = "persist_status"
    options: ClassVar[dict[str, str]] = {status.value: status.value for status in PersistStatus}
    unindexed = frozenset({PersistStatus.PERSISTED.value})

    def pick(self, queryset: QuerySet[Any], chosen: str) -> QuerySet[Any]:
        same = queryset.filter(persist_status=chosen)
        if chosen != PersistStatus.PENDING.value:
            return same
        pending = by_index(Message.objects.filter(persist_status=chosen), BY_PERSIST_STATUS)
        newest = pending.order_by("-send_time").values_list("id", flat=True)[:MOST_PENDING]
        return same.filter(id__in=list(newest))


class StatusFilter(_ChoiceFilter):
    title = parameter_name = "status"
    options: ClassVar[dict[str, str]] = {status.name: status.name for status in Status}
    unindexed = frozenset(options)

    def pick(self, queryset: QuerySet[Any], chosen: str) -> QuerySet[Any]:
        return queryset.filter(status=Status[chosen].value)


class ChatTypeFilter(_ChoiceFilter):
    title = "chat type"
    parameter_name = "chat_type"
    options: ClassVar[dict[str, str]] = {kind.name: kind.name.lower() for kind in ChatType}
    unindexed = frozenset(options)

    def pick(self, queryset: QuerySet[Any], chosen: str) -> QuerySet[Any]:
        return queryset.filter(chat_type=ChatType[chosen].value)


class SentFilter(_ChoiceFilter):
    """Filter by the time of sending.

    Ids carry the time, so the primary key finds what was sent since.
    """

    title = "time"
    parameter_name = "sent"
    options: ClassVar[dict[str, str]] = {
        "hour": "last hour",
        "day": "last 24 hours",
        "week": "last 7 days",
    }
    spans_s: ClassVar[dict[str, int]] = {"hour": 3_600, "day": 86_400, "week": 604_800}

    def pick(self, queryset: QuerySet[Any], chosen: str) -> QuerySet[Any]:
        return queryset  # `find` uses `first_id`: of two lower bounds SQLite searches by either one

    def first_id(self) -> int:
        span_s = self.spans_s.get(self.value() or "")
        return 0 if span_s is None else first_id_at(wall_clock_ms() - span_s * 1_000)


class MessageChangeList(KeysetChangeList):
    """Search for rows within bounds where a filter has no index."""

    def index(self) -> str:
        search = read_search(self.query)
        by_id = self.params.get(PersistStatusFilter.parameter_name) == PersistStatus.PENDING
        return PRIMARY if by_id or search is None else search.index

    def find(self, request: HttpRequest, wanted: int) -> tuple[list[Model], int | None]:
        filters = cast(list[_ChoiceFilter], self.filter_specs)
        first_id = max(spec.first_id() for spec in filters if isinstance(spec, SentFilter))
        if not any(spec.needs_search for spec in filters):
            return list(self._between(self.queryset, first_id, self.before)[:wanted]), None
        reach = self._reach(request, [spec for spec in filters if not spec.needs_search])
        found: list[Model] = []
        start = self.before
        for rows in ROWS_SEARCHED:
            newest = self._between(reach, first_id, start).values("id")[:rows]
            edge = newest.aggregate(edge=Min("id"))["edge"]
            if edge is None:
                return found, None
            found += self._between(self.queryset, edge, start)[: wanted - len(found)]
            if len(found) == wanted:
                return found, None
            start = edge
        return found, start if self._between(reach, first_id, start).exists() else None

    def _between(self, queryset: QuerySet[Any], first_id: int, before: int) -> QuerySet[Any]:
        return self.hinted(queryset.filter(id__gte=first_id, id__lt=before).order_by("-id"))

    def _reach(self, request: HttpRequest, indexed: Sequence[_ChoiceFilter]) -> QuerySet[Any]:
        """Return the rows that an index leads to, before the other filters."""
        reach = self.root_queryset
        for spec in indexed:
            reach = spec.queryset(request, reach)
        return self.model_admin.get_search_results(request, reach, self.query)[0]

    @property
    def searched_back_to(self) -> str | None:
        """Return the time down to which a page that is not full was searched."""
        if self.searched_down_to is None:
            return None
        return utc_time(time_of_id(self.searched_down_to))
