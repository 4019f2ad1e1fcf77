"""Show one message's life on a page, by the use case that `manage.py trace` runs.

The page has no text of a message. The permission to view messages opens the page.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

from django.contrib import admin
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse
from django.template.response import TemplateResponse
from django.urls import URLPattern, path, reverse
from django.utils.html import format_html
from django.utils.safestring import SafeString
from django.utils.translation import gettext

from messaging.models import Message
from messaging.runtime import adapters
from messaging.trace import report
from messaging.trace.asked import BadQuestion, read_id
from messaging.trace.evidence import Trace
from messaging.trace.texts import Text

NAME = "messaging_message_trace"
PERMISSION = "messaging.view_message"
TIMEOUT_S = 2.0  # of each place, as the command has it without --timeout

View = Callable[[HttpRequest], HttpResponse]


def trace_url(message_id: int) -> str:
    """Return the address of the page of a message."""
    return reverse(f"admin:{NAME}", query={"id": str(message_id)})


def trace_link(message_id: int) -> SafeString:
    """Return a link to the page of a message."""
    return format_html('<a href="{}">{}</a>', trace_url(message_id), gettext(Text.TRACE))


def route(wrap: Callable[[View], View]) -> URLPattern:
    """Return the route of the page; `wrap` lets the staff in alone, as the admin site does."""
    return path("trace/", wrap(trace_view), name=NAME)


def trace_view(request: HttpRequest) -> HttpResponse:
    """Show the form, and the trace of the message that `?id=` names.

    Raises: PermissionDenied.
    """
    if not request.user.has_perm(PERMISSION):
        raise PermissionDenied
    asked = request.GET.get("id", "").strip()
    found, is_bad = None, False
    if asked:
        try:
            found = asyncio.run(_traced(read_id(asked)))
        except BadQuestion:
            is_bad = True
    context = {
        **admin.site.each_context(request),
        "opts": Message._meta,
        "title": gettext(Text.TITLE),
        "asked": asked[:19],
        "told": found and _told(found),
        "error": gettext(Text.BAD_ID) if is_bad else "",
        "words": {text.name.lower(): gettext(text) for text in (Text.ID, Text.ASK, Text.HELP)},
    }
    status = 400 if is_bad else 200
    return TemplateResponse(request, "admin/messaging/message/trace.html", context, status=status)


async def _traced(message_id: int) -> Trace:
    async with adapters.open_tracer(TIMEOUT_S) as tracer:
        return await tracer.trace(message_id)


def _told(trace: Trace) -> dict[str, Any]:
    return {
        "head": report.head(trace, gettext),
        "rows": list(report.rows(trace, gettext)),
        "repeats": trace.repeats,
        "repeats_url": trace.repeats and trace_url(trace.repeats),
        "id": trace.message_id,
    }
