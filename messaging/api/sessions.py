"""End tokens: those of one login, all of a user, or all by a new password.

Each end is published to every process when it is committed.
"""

from __future__ import annotations

from django.contrib.auth import authenticate, get_user_model
from django.contrib.auth.models import AbstractUser
from django.contrib.auth.password_validation import validate_password
from django.core.exceptions import ValidationError
from django.db import transaction
from django.http import HttpRequest
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView
from rest_framework_simplejwt.tokens import RefreshToken

from messaging import sessions
from messaging.api.authentication import asking
from messaging.api.counting import count_change
from messaging.api.identity import present_tokens
from messaging.domain.errors import InvalidInput, TokenExpired, WrongCredentials
from messaging.domain.requests import PasswordChange, parse_logout, parse_password_change
from messaging.http.tokens import mark_of, open_token, user_id_of


class LogoutView(APIView):
    def post(self, request: Request) -> Response:
        asker = asking(request)
        count_change(asker.id)
        refresh = parse_logout(request.data)
        ended = {asker.mark.session}
        if refresh is not None:
            ended |= _session_of(refresh, user_id=asker.id)
        for session in ended:
            sessions.end_session(asker.id, session)
        return Response(None)


class LogoutAllView(APIView):
    def post(self, request: Request) -> Response:
        user_id = asking(request).id
        count_change(user_id)
        sessions.end_all(user_id)
        return Response(None)


class PasswordView(APIView):
    def post(self, request: Request) -> Response:
        user_id, change = asking(request).id, parse_password_change(request.data)
        count_change(user_id)
        made = change_password(change, user_id=user_id, request=request._request)
        return Response(present_tokens(*made))


def change_password(
    change: PasswordChange, *, user_id: int, request: HttpRequest
) -> tuple[AbstractUser, RefreshToken]:
    """Give a user another password, end all tokens, and open one new session.

    Raises: WrongCredentials for a wrong old password; InvalidInput for a weak new one.
    """
    name = get_user_model().objects.values_list("username", flat=True).filter(pk=user_id).first()
    user = authenticate(request, username=name or "", password=change.old_password)
    if not isinstance(user, AbstractUser):
        raise WrongCredentials
    try:
        validate_password(change.new_password, user)
    except ValidationError as error:
        raise InvalidInput({"newPassword": error.messages}) from error
    known = user.password
    user.set_password(change.new_password)
    with transaction.atomic():
        stored = get_user_model().objects.select_for_update().filter(pk=user_id, password=known)
        if stored.first() is None:  # changed since
            raise WrongCredentials
        user.save(update_fields=["password"])
        return user, sessions.open_session(user)


def _session_of(refresh: str, *, user_id: int) -> set[str]:
    """Return the session of this user's refresh token, or none if the token is invalid anyway."""
    try:
        token = open_token(RefreshToken, refresh)
        return {mark_of(token).session} if user_id_of(token) == user_id else set()
    except TokenExpired:
        return set()
