"""Keep the admin where the site wants the admin: off, or under host names of its own."""

from __future__ import annotations

from django.conf import settings
from django.http import Http404, HttpRequest
from django.http.request import split_domain_port, validate_host
from django.utils.deprecation import MiddlewareMixin


class AdminDoor(MiddlewareMixin):
    """Answer as for an unknown address where the admin is off (IM_ADMIN, IM_ADMIN_HOSTS)."""

    def process_request(self, request: HttpRequest) -> None:
        """Refuse a page of the admin that is not to be seen here.

        Raises: Http404.
        """
        if f"{request.path_info}/".startswith("/admin/") and not _is_open(request):
            raise Http404


def _is_open(request: HttpRequest) -> bool:
    if not settings.ADMIN:
        return False
    host, _ = split_domain_port(request.get_host())
    return not settings.ADMIN_HOSTS or validate_host(host, settings.ADMIN_HOSTS)
