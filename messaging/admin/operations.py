"""Show the state of the service on a live page: what is away, what still works, and half an hour.

The page asks one JSON view every two seconds, which asks the exporter for its samples. The mode of
the service comes from this process, so that the page tells an outage without the exporter too.
"""

from __future__ import annotations

import json
import urllib.error
import urllib.request
from typing import Any

from django.contrib import admin
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.template.response import TemplateResponse
from django.urls import URLPattern, path, reverse

from messaging.admin import operations_texts as texts
from messaging.admin.doctor_page import doctor_page
from messaging.admin.keyset import ReadOnlyAdmin
from messaging.conf import settings
from messaging.models import Operations
from messaging.runtime import wiring
from messaging.service.readiness import state_now

EXPORTER_TIMEOUT_S = 2.0
MOST_BYTES = 5_000_000  # of the exporter's answer
_direct = urllib.request.build_opener(urllib.request.ProxyHandler({}))


@admin.register(Operations)
class OperationsAdmin(ReadOnlyAdmin):
    """Serve the page, and the JSON that it asks for."""

    def get_urls(self) -> list[URLPattern]:
        wrap = self.admin_site.admin_view
        return [
            path("", wrap(self.changelist_view), name="messaging_operations_changelist"),
            path("state/", wrap(self.state_view), name="messaging_operations_state"),
            path("doctor/", wrap(self.doctor_view), name="messaging_operations_doctor"),
        ]

    def changelist_view(
        self, request: HttpRequest, extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        if not self.has_view_permission(request):
            raise PermissionDenied
        words = texts.words()
        context = {
            **self.admin_site.each_context(request),
            "opts": self.opts,
            "title": words["title"],
            "state": _state(),
            "words": words,
            "plots": [{"name": name, "title": words[f"plot_{name}"]} for name in texts.PLOTS],
            "tiles": [{"name": name, "title": words[f"{name}_now"]} for name in texts.TILES],
            "page": {"url": reverse("admin:messaging_operations_state"), "words": words},
        } | (extra_context or {})
        return TemplateResponse(request, "admin/messaging/operations/page.html", context)

    def state_view(self, request: HttpRequest) -> HttpResponse:
        """Return the state of the service and the samples after `?after=`, a Unix time in ms."""
        if not self.has_view_permission(request):
            raise PermissionDenied
        after = request.GET.get("after", "0")
        after_ms = int(after) if after.isascii() and after.isdigit() and len(after) < 16 else 0
        answer = JsonResponse(_state() | {"series": _samples(after_ms)})
        answer["Cache-Control"] = "no-store"
        return answer

    def doctor_view(self, request: HttpRequest) -> HttpResponse:
        if not self.has_view_permission(request):
            raise PermissionDenied
        return doctor_page(request)


def _state() -> dict[str, Any]:
    now = wiring.run(state_now)
    return {"status": now.mode.status, "text": texts.status_text(now)}


def _samples(after_ms: int) -> dict[str, Any] | None:
    """Return what the exporter tells; None where the exporter does not answer in time."""
    url = f"{settings().exporter_url}/samples.json?after={after_ms}"
    try:
        with _direct.open(url, timeout=EXPORTER_TIMEOUT_S) as answer:
            found = json.loads(answer.read(MOST_BYTES))
    except (OSError, ValueError):  # away, or cut off
        return None
    return found if isinstance(found, dict) else None
