"""Log in, save a changed user, and tell whether a token is good."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

from django.contrib.auth import get_user_model

from tests.support.http_client import Answer
from tests.support.service import PASSWORD, Service, User

NEW_PASSWORD = "another one 77"
OPEN, ENDED = (404, 3002), (401, 1004)


def login(service: Service, user: User, password: str = PASSWORD) -> dict[str, str]:
    body = {"username": user.name, "password": password}
    answer = service.anybody.post("/api/user/login", body)
    assert answer.status == 200, answer.content
    return dict(answer.data)


def told(answer: Answer) -> tuple[int, int]:
    return answer.status, answer.code


def state(service: Service, token: str) -> tuple[int, int]:
    """Return the answer to a read of a message that does not exist: OPEN or ENDED."""
    return told(replace(service.anybody, token=token).get("/api/message/9"))


def refreshed(service: Service, refresh: str) -> Answer:
    return service.anybody.post("/api/token/refresh/", {"refresh": refresh})


def saved(user: User, change: Callable[[Any], object], **options: Any) -> None:
    stored = get_user_model().objects.get(pk=user.id)
    change(stored)
    stored.save(**options)
