"""Open bearer tokens. simplejwt's classes are the only ones that open them."""

from __future__ import annotations

import re
from typing import TypeVar

from rest_framework_simplejwt.exceptions import TokenError
from rest_framework_simplejwt.settings import api_settings
from rest_framework_simplejwt.tokens import Token

from messaging.domain.errors import TokenExpired
from messaging.domain.inputs import Refused, read_id
from messaging.limits import MAX_TOKEN_BYTES
from messaging.models import SESSION_ID_LENGTH
from messaging.ports.directory import TokenMark
from messaging.sessions import GENERATION_CLAIM, SESSION_CLAIM

T = TypeVar("T", bound=Token)

# The signature is HS256's: 256 bits, 6 a character, so that the last one has two bits of none.
_TOKEN = re.compile(r"[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+\.[A-Za-z0-9_-]{42}[AEIMQUYcgkosw048]")


def open_token(kind: type[T], encoded: str) -> T:
    """Check signature, kind and times; raises TokenExpired.

    A token has one spelling: base64 as it is read leaves out strange characters of a signature, and
    takes any last bits.
    """
    if len(encoded) > MAX_TOKEN_BYTES or not _TOKEN.fullmatch(encoded):
        raise TokenExpired
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


def mark_of(token: Token) -> TokenMark:
    """Return the state that a token was made in; raises TokenExpired where its claims are none.

    A token without these claims, made before there were any, is of the first generation.
    """
    generation = token.get(GENERATION_CLAIM, 0)
    session = token.get(SESSION_CLAIM, token.get(api_settings.JTI_CLAIM))
    if type(generation) is not int or not isinstance(session, str):
        raise TokenExpired
    if len(session) > SESSION_ID_LENGTH:
        raise TokenExpired
    return TokenMark(generation, session)


def bearer_token(header: str) -> str | None:
    """The token of an `Authorization` header; None where it is of another kind or missing."""
    scheme, _, token = header.strip().partition(" ")
    return token.strip() if scheme.lower() == "bearer" else None
