"""Block and unblock users, and list whom a user has blocked, newest first.

Blocks are rows of Django's. Each change is published to every process when it is committed.
Safe to repeat.
"""

from __future__ import annotations

from django.contrib.auth import get_user_model
from django.db import IntegrityError
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from messaging.api.authentication import asking
from messaging.api.counting import count, count_change
from messaging.domain.errors import InvalidInput, UserNotFound
from messaging.domain.message import ID_MAX
from messaging.domain.request_fields import FieldError
from messaging.domain.requests import parse_message_id
from messaging.models import UserBlock

PAGE_SIZE = 100


class BlockView(APIView):
    def post(self, request: Request) -> Response:
        user_id, blocker_id = _named_user(request), asking(request).id
        count_change(blocker_id)
        return Response(_present(block(user_id, blocker_id=blocker_id)))


class UnblockView(APIView):
    def post(self, request: Request) -> Response:
        user_id, blocker_id = _named_user(request), asking(request).id
        count_change(blocker_id)
        unblock(user_id, blocker_id=blocker_id)
        return Response({"userId": str(user_id)})


class BlocksView(APIView):
    def get(self, request: Request) -> Response:
        before = request.query_params.get("beforeId")
        before_id = ID_MAX if before is None else parse_message_id(before, "beforeId")
        blocker_id = asking(request).id
        count(lambda backends: backends.rates.reads, blocker_id)
        own = UserBlock.objects.filter(blocker_id=blocker_id, pk__lt=before_id)
        blocks = list(own.order_by("-pk")[: PAGE_SIZE + 1])  # one more tells whether there is more
        page = blocks[:PAGE_SIZE]
        has_more = len(blocks) > PAGE_SIZE
        return Response(
            {
                "list": [_present(each) for each in page],
                "hasMore": has_more,
                "nextBeforeId": str(page[-1].pk) if has_more else None,
            }
        )


def block(user_id: int, *, blocker_id: int) -> UserBlock:
    """Return the block of this user, made now or earlier.

    Raises: InvalidInput for oneself; UserNotFound.
    """
    if user_id == blocker_id:
        raise InvalidInput({"userId": [FieldError.ONESELF]})
    _check_exists(user_id)
    try:
        return UserBlock.objects.get_or_create(blocker_id=blocker_id, blocked_id=user_id)[0]
    except IntegrityError as error:  # one of the two is gone since
        raise UserNotFound from error


def unblock(user_id: int, *, blocker_id: int) -> None:
    """Take the block back, if there is one.

    Raises: UserNotFound.
    """
    _check_exists(user_id)
    UserBlock.objects.filter(blocker_id=blocker_id, blocked_id=user_id).delete()


def _named_user(request: Request) -> int:
    return parse_message_id(dict(request.data).get("userId"), "userId")


def _check_exists(user_id: int) -> None:
    if not get_user_model().objects.filter(pk=user_id).exists():
        raise UserNotFound


def _present(made: UserBlock) -> dict[str, object]:
    return {
        "userId": str(made.blocked_id),
        "blockTime": round(made.created_at.timestamp() * 1000),
    }
