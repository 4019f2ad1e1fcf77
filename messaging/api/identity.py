"""Register users and issue tokens: login, and simplejwt's two endpoints in the envelope.

Users are Django's. All faults of a login get the same answer, so that the answer does not reveal
which names exist. Registration reveals them, because a name must be free.
"""

from __future__ import annotations

from typing import Any

from django.contrib.auth import authenticate, get_user_model
from django.contrib.auth.hashers import make_password
from django.contrib.auth.models import AbstractUser
from django.contrib.auth.password_validation import validate_password
from django.core.exceptions import ValidationError
from django.db import IntegrityError, transaction
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView
from rest_framework_simplejwt.serializers import TokenObtainPairSerializer, TokenRefreshSerializer
from rest_framework_simplejwt.tokens import RefreshToken

from messaging import user_names
from messaging.api.counting import count_change
from messaging.api.passwords import address_of
from messaging.domain.errors import InvalidInput, UserNameTaken, WrongCredentials
from messaging.domain.names import check_user_name
from messaging.domain.request_fields import InvalidField
from messaging.domain.requests import Credentials, parse_credentials
from messaging.hashing import asked_by
from messaging.http.tokens import mark_of, open_token, user_id_of
from messaging.runtime.wiring import run
from messaging.service.password_rates import count_registration
from messaging.sessions import open_session, renew


class RegisterView(APIView):
    authentication_classes = ()
    permission_classes = ()

    def post(self, request: Request) -> Response:
        credentials = parse_credentials(request.data)
        user, token = register(credentials, address=address_of(request._request))
        return Response(present_tokens(user, token))


class LoginView(APIView):
    authentication_classes = ()
    permission_classes = ()

    def post(self, request: Request) -> Response:
        credentials = parse_credentials(request.data)
        username = user_names.as_stored(credentials.username)
        user = authenticate(request._request, username=username, password=credentials.password)
        if user is None:
            raise WrongCredentials
        return Response(present_tokens(user, open_session(user)))


class ObtainSerializer(TokenObtainPairSerializer):
    """Take the same name and password as a login.

    simplejwt's own serializer would trim them, and would not compose their characters.
    """

    def to_internal_value(self, data: Any) -> dict[str, str]:
        credentials = parse_credentials(data)
        username = user_names.as_stored(credentials.username)
        return {self.username_field: username, "password": credentials.password}

    @classmethod
    def get_token(cls, user: Any) -> RefreshToken:
        return open_session(user)


class RefreshSerializer(TokenRefreshSerializer):
    """Exchange a refresh token for a new one, and refuse everything that is none alike."""

    def validate(self, attrs: dict[str, Any]) -> dict[str, str]:
        used = open_token(RefreshToken, attrs["refresh"])
        user_id, session = user_id_of(used), mark_of(used).session
        count_change(user_id)
        token = renew(used, user_id=user_id, session=session)
        return {"access": str(token.access_token), "refresh": str(token)}


def register(credentials: Credentials, *, address: str) -> tuple[AbstractUser, RefreshToken]:
    """Create a user with a session.

    Raises: InvalidInput; TooManyRequests for an address that registers too many users;
    UserNameTaken, also where two requests ask for one name at once.
    """
    _check(credentials)
    run(lambda backends: count_registration(backends, address=address))
    if user_names.is_taken(credentials.username):
        raise UserNameTaken
    # Hash before the transaction, because SQLite lets nobody else write during one.
    with asked_by(address):
        password = make_password(credentials.password)
    user = get_user_model()(username=credentials.username, password=password)
    try:
        with transaction.atomic():
            user.save()
            return user, open_session(user)
    except IntegrityError as error:
        raise UserNameTaken from error


def _check(credentials: Credentials) -> None:
    user = get_user_model()(username=credentials.username)
    errors: dict[str, list[str]] = {}
    try:
        check_user_name(credentials.username)
    except InvalidField as invalid:
        errors["username"] = [invalid.text]
    try:  # only a valid name is compared with the password
        validate_password(credentials.password, None if errors else user)
    except ValidationError as error:
        errors["password"] = error.messages
    if errors:
        raise InvalidInput(errors)


def present_tokens(user: AbstractUser, refresh: RefreshToken) -> dict[str, str]:
    return {
        "token": str(refresh.access_token),
        "refresh": str(refresh),
        "userId": str(user.pk),
    }
