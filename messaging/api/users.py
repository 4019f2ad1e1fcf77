"""Show users to each other, and let each user set the own profile.

Profiles are rows of Django's; a user without one has the defaults. The user name, the nickname and
the avatar are for everybody; a user's choices are the user's own.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from django.contrib.auth import get_user_model
from django.db import transaction
from django.db.models import QuerySet
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from messaging import user_names
from messaging.api.authentication import asking
from messaging.api.counting import count, count_change
from messaging.domain.errors import UserNotFound
from messaging.domain.ids import wall_clock_ms
from messaging.domain.profile_requests import parse_find, parse_profile, parse_user_ids
from messaging.domain.requests import parse_message_id
from messaging.models import Profile

Json = dict[str, object]

USERS_A_READ = 10


class MeView(APIView):
    def get(self, request: Request) -> Response:
        user_id = asking(request).id
        _count_read(user_id)
        return Response(_present_own(_find(user_id)))

    def post(self, request: Request) -> Response:
        user_id, fields = asking(request).id, parse_profile(request.data)
        count_change(user_id)
        if fields:
            _set_profile(user_id, fields)
        return Response(_present_own(_find(user_id)))


class UserView(APIView):
    def get(self, request: Request, user_id: str) -> Response:
        wanted = parse_message_id(user_id, "userId")
        _count_read(asking(request).id)
        return Response(_present(_find(wanted)))


class UsersView(APIView):
    def post(self, request: Request) -> Response:
        user_id, user_ids = asking(request).id, parse_user_ids(request.data)
        _count_read(user_id, more=(len(user_ids) - 1) // USERS_A_READ)
        found = {user.pk: user for user in _users().filter(pk__in=user_ids)}
        return Response(
            {
                "list": [_present(found[each]) for each in user_ids if each in found],
                "missing": [str(each) for each in user_ids if each not in found],
            }
        )


class FindView(APIView):
    def get(self, request: Request) -> Response:
        username = parse_find(request.query_params.dict())
        count(lambda backends: backends.rates.lookups, asking(request).id)
        user = _users().filter(username=user_names.as_stored(username)).first()
        if user is None:
            raise UserNotFound
        return Response(_present(user))


def _users() -> QuerySet[Any]:
    """Return the users who are active, each with the profile."""
    return get_user_model().objects.filter(is_active=True).select_related("profile")


def _find(user_id: int) -> Any:
    """Return an active user.

    Raises: UserNotFound.
    """
    user = _users().filter(pk=user_id).first()
    if user is None:
        raise UserNotFound
    return user


def _set_profile(user_id: int, fields: Mapping[str, object]) -> None:
    """Set columns of a profile; what was read while the user hid receipts stays hidden."""
    with transaction.atomic():
        profile, _ = Profile.objects.select_for_update().get_or_create(user_id=user_id)
        if fields.get("shows_receipts") and not profile.shows_receipts:
            profile.receipts_from = wall_clock_ms()
        for column, value in fields.items():
            setattr(profile, column, value)
        profile.save()


def _count_read(user_id: int, *, more: int = 0) -> None:
    count(lambda backends: backends.rates.reads, user_id, more=more)


def _profile_of(user: Any) -> Profile:
    return getattr(user, "profile", None) or Profile(user=user)


def _present(user: Any) -> Json:
    profile = _profile_of(user)
    return {
        "userId": str(user.pk),
        "username": user.username,
        "nickname": profile.nickname,
        "avatar": profile.avatar,
    }


def _present_own(user: Any) -> Json:
    profile = _profile_of(user)
    return _present(user) | {
        "showsReceipts": profile.shows_receipts,
        "invitesFrom": profile.invites_from,
    }
