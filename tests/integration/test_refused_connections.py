"""Check that a database without connections left for Django answers 503, and is not away."""

from __future__ import annotations

import pytest
from django.contrib.auth import get_user_model
from django.db import OperationalError
from django.test import Client as Visitor

from tests.support.service import PASSWORD, Service, User


def test_is_told_to_wait_in_the_api_and_in_the_admin(
    service: Service, alice: User, bob: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    alice.sent(bob)
    visitor = Visitor()
    visitor.force_login(get_user_model().objects.create_superuser("operator"))
    cookie = {"Cookie": f"sessionid={visitor.cookies['sessionid'].value}"}

    def refuse(*_: object) -> None:
        raise OperationalError(1040, "Too many connections")

    with monkeypatch.context() as full:
        full.setattr("django.db.backends.utils.CursorWrapper.execute", refuse)
        page = service.anybody.exchange("GET", "/admin/messaging/chatgroup/", cookie, [b""])
        login = service.anybody.post("/api/user/login", {"username": "bob", "password": PASSWORD})
        assert alice.send(bob).status == 200
    assert (login.status, login.code) == (503, 5030)
    assert (page.status, page.headers["retry-after"]) == (503, "1")
    assert b"Too many" not in page.content
    assert service.anybody.get("/api/health").data["store"] == "closed"
