"""Show a page for an error that a page of the site raises: too many requests, or a part is away.

`RefusalPages` is a middleware of Django's. The API answers the same errors in its envelope, so none
of them reaches this middleware.
"""

from __future__ import annotations

from django.contrib import admin
from django.http import HttpRequest
from django.template.response import TemplateResponse
from django.utils.deprecation import MiddlewareMixin
from django.utils.translation import gettext

from messaging.domain.errors import ApiError, TemporarilyUnavailable
from messaging.http.envelope import headers_of


class RefusalPages(MiddlewareMixin):
    """Turn an ApiError that a page raises into a page with its status and its `Retry-After`."""

    def process_exception(
        self, request: HttpRequest, exception: Exception
    ) -> TemplateResponse | None:
        """Return the page of an error that was anticipated; Django goes on with any other error."""
        if not isinstance(exception, ApiError):
            return None
        context = {
            **admin.site.each_context(request),
            "title": gettext(exception.default_text()),
            "is_away": isinstance(exception, TemporarilyUnavailable),
            "retry_after_s": exception.retry_after_s,
        }
        return TemplateResponse(
            request,
            "admin/messaging/refused.html",
            context,
            status=exception.http_status,
            headers=headers_of(exception),
        )
