"""Authenticate a request by its bearer token, without a query per request.

Tokens are simplejwt's, and its classes are the only ones that open them. The directory knows, at
most `identity_ttl_s` late, whether the user is still active and the token was not ended.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from rest_framework.authentication import BaseAuthentication
from rest_framework.request import Request
from rest_framework_simplejwt.tokens import AccessToken

from messaging.domain.errors import TokenExpired
from messaging.http.tokens import bearer_token, mark_of, open_token, user_id_of
from messaging.ports.directory import TokenMark
from messaging.runtime import wiring
from messaging.service.access import may_act


@dataclass(frozen=True, slots=True)
class Principal:
    """Hold the user who asks, in the form that DRF expects."""

    id: int
    mark: TokenMark
    is_authenticated: ClassVar[bool] = True


class BearerAuthentication(BaseAuthentication):
    def authenticate(self, request: Request) -> tuple[Principal, None] | None:
        """Return the user of the bearer token, or None without a bearer token.

        Raises: TokenExpired for a token that is not valid any more; TemporarilyUnavailable when
        that cannot be known.
        """
        token = bearer_token(request.META.get("HTTP_AUTHORIZATION", ""))
        if token is None:
            return None
        opened = open_token(AccessToken, token)
        user_id, mark = user_id_of(opened), mark_of(opened)
        if not wiring.run(lambda backends: may_act(backends.directory, user_id, mark)):
            raise TokenExpired
        return Principal(user_id, mark), None


def asking(request: Request) -> Principal:
    """Return the user whom `BearerAuthentication` has let in, with the token's mark."""
    user: object = request.user
    assert isinstance(user, Principal)
    return user
