"""Who asks: the user of a bearer token, without a query per request.

Tokens are simplejwt's, and its classes are the only ones that open them. That the user is still
active is known from the directory, at most `identity_ttl_s` late.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from rest_framework.authentication import BaseAuthentication
from rest_framework.request import Request
from rest_framework_simplejwt.exceptions import TokenError
from rest_framework_simplejwt.settings import api_settings
from rest_framework_simplejwt.tokens import AccessToken, Token

from messaging import wiring
from messaging.errors import TokenExpired
from messaging.inputs import Refused, read_id
from messaging.service.access import may_act


@dataclass(frozen=True, slots=True)
class Principal:
    """The user who asks, as DRF expects one."""

    id: int
    is_authenticated: ClassVar[bool] = True


class BearerAuthentication(BaseAuthentication):
    def authenticate(self, request: Request) -> tuple[Principal, None] | None:
        """None without a bearer token; raises TokenExpired for one that is not good any more, and
        TemporarilyUnavailable when that cannot be known."""
        token = bearer_token(request.META.get("HTTP_AUTHORIZATION", ""))
        if token is None:
            return None
        user_id = user_id_of(open_token(AccessToken, token))
        if not wiring.run(lambda backends: may_act(backends.directory, user_id)):
            raise TokenExpired
        return Principal(user_id), None


def asking_user(request: Request) -> int:
    """The id of the user whom `BearerAuthentication` has let in."""
    user: object = request.user
    assert isinstance(user, Principal)
    return user.id


def open_token(kind: type[Token], encoded: str) -> Token:
    """Check signature, kind and times; raises TokenExpired."""
    try:
        return kind(encoded)  # type: ignore[arg-type]
    except (TokenError, ValueError, OverflowError, OSError) as error:  # the latter: no such time
        raise TokenExpired from error


def user_id_of(token: Token) -> int:
    """Raises TokenExpired for a token that names no user."""
    try:
        return read_id(token.get(api_settings.USER_ID_CLAIM))
    except Refused as error:
        raise TokenExpired from error


def bearer_token(header: str) -> str | None:
    """The token of an `Authorization` header; None where it is of another kind or missing."""
    scheme, _, token = header.strip().partition(" ")
    return token.strip() if scheme.lower() == "bearer" else None
