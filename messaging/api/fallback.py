"""Answer where no view of the API does: unknown paths, unreadable requests, failures.

`imsite.urls` names these functions as the site's error handlers. Outside the API their answers are
Django's own pages.
"""

from __future__ import annotations

import sys

from django.db import InterfaceError, OperationalError
from django.http import HttpRequest, HttpResponse
from django.views import defaults
from django.views.decorators.csrf import csrf_exempt

from messaging.domain.errors import (
    ApiError,
    InvalidInput,
    PathNotFound,
    ServerError,
    TemporarilyUnavailable,
)
from messaging.domain.request_fields import FieldError
from messaging.http import envelope as answers


@csrf_exempt
def path_not_found(request: HttpRequest) -> HttpResponse:
    return _respond(PathNotFound())


def handle_400(request: HttpRequest, exception: Exception) -> HttpResponse:
    if _is_api(request):
        return _respond(InvalidInput({"request": [FieldError.REQUEST]}))
    return defaults.bad_request(request, exception)


def handle_404(request: HttpRequest, exception: Exception) -> HttpResponse:
    if _is_api(request):
        return _respond(PathNotFound())
    return defaults.page_not_found(request, exception)


def handle_500(request: HttpRequest) -> HttpResponse:
    """Answer a request whose view has failed: 503 where the database did, in the admin as well."""
    is_refused = isinstance(sys.exception(), (OperationalError, InterfaceError))
    if _is_api(request):
        return _respond(TemporarilyUnavailable() if is_refused else ServerError())
    if is_refused:
        refusal = TemporarilyUnavailable()
        return HttpResponse(
            f"<!doctype html><title>503</title><p>{refusal}</p>",
            status=refusal.http_status,
            headers=answers.headers_of(refusal),
        )
    return defaults.server_error(request)


def _is_api(request: HttpRequest) -> bool:
    return request.path == "/api" or request.path.startswith("/api/")


def _respond(error: ApiError) -> HttpResponse:
    return HttpResponse(
        answers.encode(answers.failure(error)),
        status=error.http_status,
        content_type=answers.CONTENT_TYPE,
        headers=answers.headers_of(error),
    )
