"""Show the page that says that a backing service is away, in place of a failure."""

from __future__ import annotations

from typing import Any

from django.contrib import admin
from django.http import HttpRequest, HttpResponse
from django.template.response import TemplateResponse
from django.utils.text import capfirst

RETRY_AFTER_S = 5


def unavailable(model_admin: admin.ModelAdmin[Any], request: HttpRequest) -> HttpResponse:
    """Return a 503 page, which says that this page of the given admin is unavailable now."""
    context = {
        **model_admin.admin_site.each_context(request),
        "opts": model_admin.opts,
        "title": capfirst(model_admin.opts.verbose_name_plural),
        "media": model_admin.media,
    }
    return TemplateResponse(
        request,
        "admin/messaging/unavailable.html",
        context,
        status=503,
        headers={"Retry-After": str(RETRY_AFTER_S)},
    )
