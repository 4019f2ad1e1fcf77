"""Show a page for an error that a page of the site raises: too many requests, or a part is away.

`RefusalPages` is a middleware of Django's. The API answers the same errors in its envelope, so none
of them reaches this middleware.
"""

from __future__ import annotations

from collections.abc import Callable

from django.contrib import admin
from django.http import HttpRequest, HttpResponse
from django.template.response import TemplateResponse
from django.utils.translation import gettext

from messaging.domain.errors import ApiError


class RefusalPages:
    """Turn an ApiError that a page raises into a page with its status and its `Retry-After`."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self._get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        return self._get_response(request)

    def process_exception(
        self, request: HttpRequest, exception: Exception
    ) -> TemplateResponse | None:
        """Return the page of an error that was anticipated; Django goes on with any other error."""
        if not isinstance(exception, ApiError):
            return None
        headers = {"Cache-Control": "no-store"}
        if exception.retry_after_s is not None:
            headers["Retry-After"] = str(exception.retry_after_s)
        context = {
            **admin.site.each_context(request),
            "title": gettext(exception.default_text()),
            "retry_after_s": exception.retry_after_s,
        }
        return TemplateResponse(
            request,
            "admin/messaging/refused.html",
            context,
            status=exception.http_status,
            headers=headers,
        )
