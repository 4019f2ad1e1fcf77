"""Check every password: bound how often and from which address, and give it a turn.

`RatedBackend` is Django's only authentication backend here. Login, the token endpoint and the
admin's login use this backend, and so does everything that calls `authenticate` later.
"""

from __future__ import annotations

from typing import Any

from django.contrib.auth.backends import BaseBackend, ModelBackend
from django.contrib.auth.models import User
from django.http import HttpRequest

from messaging.addresses import client_address
from messaging.hashing import asked_by
from messaging.runtime.wiring import run
from messaging.service.password_rates import count_login


class RatedBackend(ModelBackend):
    """Check a name and a password as Django does, behind the rates of both and of the address."""

    # Go through `authenticate`, which Django's own method would bypass.
    aauthenticate = BaseBackend.aauthenticate  # type: ignore[assignment]

    def authenticate(
        self,
        request: HttpRequest | None,
        username: str | None = None,
        password: str | None = None,
        **other: Any,
    ) -> User | None:
        """Return the user of this name and password, or None.

        Raises: TooManyRequests, before any hashing.
        """
        if username is None or password is None:
            return None
        address = None if request is None else address_of(request)
        run(lambda backends: count_login(backends, name=username, address=address))
        with asked_by(address):
            return super().authenticate(request, username=username, password=password, **other)


def address_of(request: HttpRequest) -> str:
    """Return the address of the client behind one of Django's requests."""
    scope = request.META.get("asgi.scope")
    return str(request.META.get("REMOTE_ADDR", "")) if scope is None else client_address(scope)
