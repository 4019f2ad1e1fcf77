"""Keep the admin where the site wants the admin: off, or under host names of its own."""

from __future__ import annotations

from collections.abc import Callable

from django.conf import settings
from django.http import Http404, HttpRequest, HttpResponse
from django.http.request import split_domain_port, validate_host


class AdminDoor:
    """Answer as for an unknown address where the admin is off (IM_ADMIN, IM_ADMIN_HOSTS)."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self._get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        """Pass a request on.

        Raises: Http404 for a page of the admin that is not to be seen here.
        """
        if f"{request.path_info}/".startswith("/admin/") and not _is_open(request):
            raise Http404
        return self._get_response(request)


def _is_open(request: HttpRequest) -> bool:
    if not settings.ADMIN:
        return False
    host, _ = split_domain_port(request.get_host())
    return not settings.ADMIN_HOSTS or validate_host(host, settings.ADMIN_HOSTS)
