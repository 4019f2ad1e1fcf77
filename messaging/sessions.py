"""Open, renew and end sessions: one for each login, with the tokens that come from the login.

Calls block. A refresh token is valid while its session has a row that names the token. An access
token is valid until it expires, unless its session was ended or its generation is past; the
directories know both.

Order: a user's row is locked first, then the user's tokens, then the sessions.
"""

from __future__ import annotations

import secrets
from datetime import timedelta
from typing import TypeVar

from django.contrib.auth import get_user_model
from django.contrib.auth.models import AbstractUser
from django.db import DEFAULT_DB_ALIAS, transaction
from rest_framework_simplejwt.settings import api_settings
from rest_framework_simplejwt.tokens import AccessToken, RefreshToken, Token

from messaging.domain.errors import TokenExpired, WrongCredentials
from messaging.domain.ids import wall_clock_ms
from messaging.models import UserSession, UserTokens

T = TypeVar("T", bound=Token)

GENERATION_CLAIM = "gen"
SESSION_CLAIM = "sid"
SESSIONS_HELD = 100  # of one user; the session that expires first makes room
ENDED_HELD = 50  # of one user, until their access tokens have expired; past it all are ended
PURGED_AT_ONCE = 20
CLOCKS_DIFFER_S = 60
# A refresh token that is used again so soon after its renewal is refused without ending the
# session: a client that lost the answer, or two of its windows at once, use a token twice. A token
# that is used again later counts as stolen.
REUSE_GRACE_MS = 10_000


def open_session(user: AbstractUser) -> RefreshToken:
    """Return the first refresh token of a new session of a user whose password was just checked.

    Raises: WrongCredentials where the password has changed by now, or the user is locked out.
    """
    with transaction.atomic():
        current = _lock(user.pk)
        if current is None or not current.is_active or current.password != user.password:
            raise WrongCredentials
        session = secrets.token_hex(16)
        token = _mark(RefreshToken.for_user(user), session)
        _make_room(user.pk)
        UserSession.objects.create(
            id=session,
            user_id=user.pk,
            token_id=token[api_settings.JTI_CLAIM],
            renewed_at=wall_clock_ms(),
            expires_at=token["exp"] * 1_000,
        )
    _purge()
    return token


def access_token(user: AbstractUser) -> AccessToken:
    """Return an access token that belongs to no session, for scripts."""
    return _mark(AccessToken.for_user(user))


def renew(used: RefreshToken, *, user_id: int, session: str) -> RefreshToken:
    """Return the refresh token that replaces a checked one; the checked one is invalid then.

    Raises: TokenExpired where the token was used before, or its session or its user is gone or
    locked out.
    Leaves: the session ended, where the token was used again later than `REUSE_GRACE_MS` after the
    session's last renewal.
    """
    with transaction.atomic():
        sessions = UserSession.objects.filter(pk=session, user_id=user_id)
        token = RefreshToken()
        taken = sessions.filter(token_id=used[api_settings.JTI_CLAIM]).update(
            token_id=token[api_settings.JTI_CLAIM],
            renewed_at=wall_clock_ms(),
            expires_at=token["exp"] * 1_000,
        )
        if taken:
            if not get_user_model().objects.filter(pk=user_id, is_active=True).exists():
                raise TokenExpired
            token[api_settings.USER_ID_CLAIM] = str(user_id)
            return _mark(token, session)
    renewed_at = sessions.values_list("renewed_at", flat=True).first()
    if renewed_at is not None and wall_clock_ms() - renewed_at > REUSE_GRACE_MS:
        end_session(user_id, session)
    raise TokenExpired


def end_session(user_id: int, session: str) -> None:
    """End the tokens of one session.

    All tokens of the user end when more than `ENDED_HELD` ended sessions would have to be kept.
    Safe to repeat.
    """
    with transaction.atomic():
        if _lock(user_id) is None:
            return
        now_s = wall_clock_ms() // 1_000
        lifetime: timedelta = api_settings.ACCESS_TOKEN_LIFETIME
        tokens = _tokens_of(user_id)
        ended = {each: until for each, until in tokens.ended.items() if until > now_s}
        ended[session] = now_s + CLOCKS_DIFFER_S + round(lifetime.total_seconds())
        if len(ended) > ENDED_HELD:
            end_all(user_id)
            return
        tokens.ended = ended
        tokens.save()
        UserSession.objects.filter(pk=session, user_id=user_id).delete()


def end_all(user_id: int, *, using: str = DEFAULT_DB_ALIAS) -> None:
    """End every token that a user has."""
    with transaction.atomic(using):
        if _lock(user_id, using=using) is None:
            return
        tokens = _tokens_of(user_id, using=using)
        tokens.generation += 1
        tokens.ended = {}
        tokens.save(using=using)
        UserSession.objects.using(using).filter(user_id=user_id).delete()


def _lock(user_id: int, *, using: str = DEFAULT_DB_ALIAS) -> AbstractUser | None:
    users = get_user_model().objects.using(using)
    return users.select_for_update().filter(pk=user_id).first()


def _tokens_of(user_id: int, *, using: str = DEFAULT_DB_ALIAS) -> UserTokens:
    """Return the row of a user who is locked, or a new one that is not saved yet."""
    tokens = UserTokens.objects.using(using).filter(pk=user_id).first()
    return tokens or UserTokens(user_id=user_id)


def _mark(token: T, session: str | None = None) -> T:
    """Write the user's generation of now and the session into a token."""
    user_id = int(token[api_settings.USER_ID_CLAIM])
    generations = UserTokens.objects.filter(pk=user_id).values_list("generation", flat=True)
    token[GENERATION_CLAIM] = generations.first() or 0
    if session is not None:
        token[SESSION_CLAIM] = session
    return token


def _make_room(user_id: int) -> None:
    held = UserSession.objects.filter(user_id=user_id).order_by("-expires_at", "id")
    past = list(held.values_list("pk", flat=True)[SESSIONS_HELD - 1 : SESSIONS_HELD + 99])
    if past:
        UserSession.objects.filter(pk__in=past).delete()


def _purge() -> None:
    """Delete at most `PURGED_AT_ONCE` expired sessions, so that as many rows go as come."""
    expired = UserSession.objects.filter(expires_at__lt=wall_clock_ms()).order_by("expires_at")
    if past := sorted(expired.values_list("pk", flat=True)[:PURGED_AT_ONCE]):
        UserSession.objects.filter(pk__in=past).delete()
