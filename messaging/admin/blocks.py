"""Administer blocks, which are added or removed and never changed."""

from __future__ import annotations

import re
from typing import Any

from django.contrib import admin
from django.db.models import Model, QuerySet
from django.http import HttpRequest

from messaging.admin.keyset import KeysetAdmin, KeysetChangeList
from messaging.domain.message import ID_MAX
from messaging.models import UserBlock

_SEARCH = re.compile(r"(of:)?\s*([0-9]{1,19})")


class BlockChangeList(KeysetChangeList):
    def index(self) -> str | None:
        match = _SEARCH.fullmatch(self.query.strip())
        if match is None:
            return None
        return "user_block_blocked_id" if match[1] else "user_block_blocker_id"


@admin.register(UserBlock)
class UserBlockAdmin(KeysetAdmin):
    change_list = BlockChangeList
    list_display = ("id", "blocker", "blocked", "created_at")
    list_select_related = ("blocker", "blocked")
    fields = ("blocker", "blocked")
    autocomplete_fields = ("blocker", "blocked")
    search_fields = ("id",)
    search_help_text = (
        "42 finds the users blocked by user 42; of:42 finds those who blocked user 42."
    )
    empty_list_text = "No block fits."

    def has_change_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        return False

    def search(self, queryset: QuerySet[Any], term: str) -> QuerySet[Any]:
        match = _SEARCH.fullmatch(term)
        if match is None or int(match[2]) > ID_MAX:
            return queryset.none()
        field = "blocked_id" if match[1] else "blocker_id"
        return queryset.filter(**{field: int(match[2])})
