"""Open bearer tokens.

simplejwt's classes are the only ones that open tokens.
"""

from __future__ import annotations

import re
from typing import TypeVar

from rest_framework_simplejwt.exceptions import TokenError
from rest_framework_simplejwt.settings import api_settings
from rest_framework_simplejwt.tokens import Token

from messaging.domain.errors import TokenExpired
from messaging.domain.request_fields import InvalidField, read_id
from messaging.limits import MAX_TOKEN_BYTES
from messaging.models.people import SESSION_ID_LENGTH
from messaging.ports.directory import TokenMark
from messaging.sessions import GENERATION_CLAIM, SESSION_CLAIM

T = TypeVar("T", bound=Token)

# HS256 makes 256 bits of signature, 6 a character: two bits of the last character are unused.
_TOKEN = re.compile(r"[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+\.[A-Za-z0-9_-]{42}[AEIMQUYcgkosw048]")


def open_token(kind: type[T], encoded: str) -> T:
    """Return the opened token after a check of its signature, kind and times.

    Only one spelling of a token is accepted, because base64 decoding skips strange characters of a
    signature and ignores its unused last bits.

    Raises: TokenExpired.
    """
    if len(encoded) > MAX_TOKEN_BYTES or not _TOKEN.fullmatch(encoded):
        raise TokenExpired
    try:
        return kind(encoded)  # type: ignore[arg-type]
    except (TokenError, ValueError, OverflowError, OSError) as error:  # the latter: no such time
        raise TokenExpired from error


def user_id_of(token: Token) -> int:
    """Return the id of the user that a token names.

    Raises: TokenExpired for a token that names no user.
    """
    try:
        return read_id(token.get(api_settings.USER_ID_CLAIM))
    except InvalidField as error:
        raise TokenExpired from error


def mark_of(token: Token) -> TokenMark:
    """Return the generation and the session that a token was made in.

    A token without these claims is from before they existed, and is of the first generation.

    Raises: TokenExpired when a claim is invalid.
    """
    generation = token.get(GENERATION_CLAIM, 0)
    session = token.get(SESSION_CLAIM, token.get(api_settings.JTI_CLAIM))
    if type(generation) is not int or not isinstance(session, str):
        raise TokenExpired
    if len(session) > SESSION_ID_LENGTH:
        raise TokenExpired
    return TokenMark(generation, session)


def bearer_token(header: str) -> str | None:
    """Return the token of an `Authorization` header, or None without a bearer token."""
    scheme, _, token = header.strip().partition(" ")
    return token.strip() if scheme.lower() == "bearer" else None
