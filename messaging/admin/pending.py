"""Show pending messages, and let a person persist them.

A pending message is accepted, and in Redis and the log only. There are no rows, so this is a page
of its own under a name in the admin's index. The page calls the use cases and never touches Redis.
"""

from __future__ import annotations

from typing import Any

from django.contrib import admin, messages
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.template.response import TemplateResponse
from django.urls import URLPattern, path
from django.utils.text import capfirst

from messaging.admin.display import age, utc_time
from messaging.admin.keyset import ReadOnlyAdmin, read_number
from messaging.admin.trace import PERMISSION, trace_link
from messaging.domain.backend_errors import CacheUnavailable
from messaging.domain.errors import TemporarilyUnavailable
from messaging.domain.ids import wall_clock_ms
from messaging.domain.message import ID_MAX
from messaging.models import PendingMessage
from messaging.pipeline.compensation import Sweep
from messaging.ports.cached import PendingEntry
from messaging.runtime import wiring
from messaging.runtime.assembly import compensator
from messaging.service.pending import PendingLine, PendingPage, list_pending

PAGE_SIZE = 50
LAST_OFFSET = 10_000  # nobody pages through more pending messages than this
SELECTED = "_selected_action"


@admin.register(PendingMessage)
class PendingMessageAdmin(ReadOnlyAdmin):
    def get_urls(self) -> list[URLPattern]:
        view = self.admin_site.admin_view(self.changelist_view)
        return [path("", view, name="messaging_pendingmessage_changelist")]

    def has_persist_permission(self, request: HttpRequest) -> bool:
        return bool(request.user.has_perm("messaging.change_pendingmessage"))

    def changelist_view(
        self, request: HttpRequest, extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        if not self.has_view_permission(request):
            raise PermissionDenied
        offset = _read_offset(request)
        try:
            if request.method == "POST":
                return self._persist(request)
            page = wiring.run(
                lambda backends: list_pending(backends, offset=offset, limit=PAGE_SIZE)
            )
        except CacheUnavailable as error:
            raise TemporarilyUnavailable from error
        context = self._context(request, page, offset) | (extra_context or {})
        return TemplateResponse(request, "admin/messaging/pendingmessage/change_list.html", context)

    def _context(self, request: HttpRequest, page: PendingPage, offset: int) -> dict[str, Any]:
        now_ms = wall_clock_ms()
        next_offset = offset + PAGE_SIZE
        return {
            **self.admin_site.each_context(request),
            "opts": self.opts,
            "title": capfirst(self.opts.verbose_name_plural),
            "media": self.media,
            "rows": [_row(line, now_ms) for line in page.lines],
            "page": page,
            "oldest_age": page.oldest and _age(page.oldest, now_ms),
            "offset": offset,
            "next_offset": next_offset
            if next_offset < page.count and next_offset <= LAST_OFFSET
            else None,
            "may_trace": request.user.has_perm(PERMISSION),
            "may_persist": self.has_persist_permission(request),
        }

    def _persist(self, request: HttpRequest) -> HttpResponse:
        if not self.has_persist_permission(request):
            raise PermissionDenied
        ids = _read_selected(request)
        if not ids:
            messages.warning(request, "Select the messages to persist first.")
        else:
            sweep = wiring.run(lambda backends: compensator(backends).repair(ids))
            for message_id in ids:
                self.log_change(request, PendingMessage(id=message_id), "Asked to persist it.")
            _show_sweep(request, sweep)
        return HttpResponseRedirect(request.get_full_path())


def _row(line: PendingLine, now_ms: int) -> dict[str, Any]:
    return {
        "id": line.entry.message_id,
        "trace": trace_link(line.entry.message_id),
        "message": line.message,
        "attempts": line.attempts,
        "sent": utc_time(line.entry.send_time),
        "age": _age(line.entry, now_ms),
    }


def _age(entry: PendingEntry, now_ms: int) -> str:
    return age((now_ms - entry.send_time) / 1_000)


def _show_sweep(request: HttpRequest, sweep: Sweep) -> None:
    if persisted := sweep.confirmed + sweep.applied:
        messages.success(request, f"Persisted: {persisted}.")
    if sweep.left:
        messages.error(request, f"Still pending, because the database is away: {sweep.left}.")
    if sweep.set_aside:
        messages.error(
            request, f"Refused by the database, now among the dead letters: {sweep.set_aside}."
        )
    if sweep.without_detail:
        messages.warning(
            request,
            "Not in Redis any more, so there was nothing to persist; the log may still bring it: "
            f"{sweep.without_detail}.",
        )


def _read_offset(request: HttpRequest) -> int:
    return min(read_number(request.GET.get("offset", "")) or 0, LAST_OFFSET)


def _read_selected(request: HttpRequest) -> list[int]:
    """Return the ids that are ticked, a page of them at most."""
    ids = set(map(read_number, request.POST.getlist(SELECTED)))
    return sorted(number for number in ids if number and number <= ID_MAX)[:PAGE_SIZE]
