"""Show a person the messages as the database has them.

Nothing here can change a message.
"""

from __future__ import annotations

import json
from typing import Any

from django.contrib import admin, messages
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse
from django.urls import URLPattern
from django.utils.html import format_html
from django.utils.safestring import SafeString

from messaging.admin.display import NOTHING, search_link, text_box, utc_time, visible
from messaging.admin.keyset import ReadOnlyAdmin, read_number
from messaging.admin.message_list import (
    SEARCH_HELP,
    ChatTypeFilter,
    MessageChangeList,
    PersistStatusFilter,
    SentFilter,
    StatusFilter,
    read_search,
)
from messaging.admin.trace import route, trace_link
from messaging.domain.message import ChatType, Status
from messaging.models import Message, MessageAlias
from messaging.runtime import wiring
from messaging.service.access import find_message


@admin.register(Message)
class MessageAdmin(ReadOnlyAdmin):
    change_list = MessageChangeList
    list_display = (
        "id",
        "sent",
        "conversation",
        "seq",
        "sender",
        "chat_type",
        "msg_type",
        "standing",
        "persist_status",
        "trace",
    )
    list_filter = (PersistStatusFilter, StatusFilter, ChatTypeFilter, SentFilter)
    lookups = frozenset({"persist_status", "status", "chat_type", "sent"})
    search_fields = ("id",)
    search_help_text = SEARCH_HELP
    empty_list_text = "No stored message fits."
    change_list_template = "admin/messaging/message/change_list.html"
    actions = None
    fields = (
        ("id", "sent"),
        ("conversation", "seq"),
        ("sender", "receiver"),
        ("chat_type", "msg_type"),
        ("standing", "persist_status"),
        "trace",
        "body",
        "address",
        "mentioned",
        "client_message_id",
    )

    def get_urls(self) -> list[URLPattern]:
        return [route(self.admin_site.admin_view), *super().get_urls()]

    def changelist_view(
        self, request: HttpRequest, extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        if read_search(request.GET.get("q", "")) is None:
            messages.warning(request, f"This cannot be searched. {SEARCH_HELP}")
        return super().changelist_view(request, extra_context)

    def search(self, queryset: QuerySet[Any], term: str) -> QuerySet[Any]:
        search = read_search(term)
        if search is None:
            return queryset.none()
        lookup = search.lookup
        if "id" in lookup:
            lookup = {"id": _owner_of(lookup["id"])}
        return queryset.filter(**lookup)

    def get_object(
        self, request: HttpRequest, object_id: str, from_field: str | None = None
    ) -> Message | None:
        """Return the row in its latest state: a recall counts from when it was acknowledged.

        Raises: TemporarilyUnavailable when that state cannot be known.
        """
        row: Message | None = super().get_object(request, object_id, from_field)
        if row is None and (number := read_number(object_id)) is not None:
            row = super().get_object(request, str(_owner_of(number)), from_field)
        if row is None or row.status == Status.RECALLED:
            return row
        latest = wiring.run(lambda backends: find_message(backends, row.pk))
        if latest is not None and latest.is_recalled:
            row.status, row.recall_time = latest.status.value, latest.recall_time
            row.content, row.url, row.at_user_ids = "", None, "[]"
        return row

    @admin.display(description="conversation")
    def conversation(self, row: Message) -> SafeString:
        return search_link(row.conversation_id, row.conversation_id)

    @admin.display(description="sender")
    def sender(self, row: Message) -> SafeString:
        return search_link(f"from:{row.from_user_id}", str(row.from_user_id))

    @admin.display(description="receiver")
    def receiver(self, row: Message) -> str:
        return f"{'group' if row.chat_type == ChatType.GROUP else 'user'} {row.to_id}"

    @admin.display(description="trace")
    def trace(self, row: Message) -> SafeString:
        return trace_link(row.pk)

    @admin.display(description="sent (UTC)")
    def sent(self, row: Message) -> str:
        return utc_time(row.send_time)

    @admin.display(description="status")
    def standing(self, row: Message) -> str | SafeString:
        if row.status != Status.RECALLED:
            return Status(row.status).name
        return format_html(
            '<span class="im-mark" title="{} UTC">RECALLED</span>', utc_time(row.recall_time)
        )

    @admin.display(description="text")
    def body(self, row: Message) -> str | SafeString:
        if row.status == Status.RECALLED:
            return format_html(
                '<span class="im-quiet">recalled at {} UTC</span>', utc_time(row.recall_time)
            )
        return text_box(row.content) if row.content else NOTHING

    @admin.display(description="address")
    def address(self, row: Message) -> str | SafeString:
        return visible(row.url) if row.url else NOTHING

    @admin.display(description="mentioned users")
    def mentioned(self, row: Message) -> str:
        return ", ".join(map(str, json.loads(row.at_user_ids))) or NOTHING

    @admin.display(description="client message id")
    def client_message_id(self, row: Message) -> str | SafeString:
        return visible(row.client_msg_id) if row.client_msg_id else NOTHING


def _owner_of(message_id: int) -> int:
    """Return the id of the message that an id leads to.

    The id of a repeated send that was deduplicated leads to another message.
    """
    owner = MessageAlias.objects.filter(message_id=message_id).values_list("owner_id", flat=True)
    return owner.first() or message_id
