"""Call the verbs of conversations as the users of the service do."""

from __future__ import annotations

from typing import Any

from tests.support.http_client import Answer
from tests.support.service import User

SET, CLEAR = "/api/conversation/set", "/api/conversation/clear"


def name_of(one: User, other: User) -> str:
    """Return the id of the private conversation of two users."""
    return "_".join(sorted((one.id, other.id), key=int))


def wish(user: User, name: object, **wanted: object) -> Answer:
    return user.client.post(SET, {"conversationId": name} | wanted)


def clear(user: User, name: object, **options: Any) -> Answer:
    return user.client.post(CLEAR, {"conversationId": name}, **options)
