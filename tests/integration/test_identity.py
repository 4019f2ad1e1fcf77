"""Test users and tokens: what a look-up costs, how soon a token ends, and a database away."""

from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor

import pytest
from django.contrib.auth import get_user_model
from django.db import OperationalError, connection

from messaging.sessions import open_session
from tests.support.service import PASSWORD, Service, User, at_both_doors, refused, with_settings

pytestmark = at_both_doors()


class TestRegistration:
    def test_gives_a_name_to_one_of_those_who_ask_at_once(self, service: Service) -> None:
        wanted = {"username": "alice", "password": PASSWORD}
        with ThreadPoolExecutor(8) as many:
            asked = [
                many.submit(service.anybody.post, "/api/user/register", wanted) for _ in range(8)
            ]
            codes = sorted(future.result().code for future in asked)
        assert codes == [200] + [1001] * 7
        assert get_user_model().objects.count() == 1


class TestAToken:
    @with_settings(identity_ttl_s=0.3)
    @pytest.mark.parametrize("is_deleted", [False, True])
    def test_of_somebody_who_is_gone_ends_in_the_stated_time(
        self, service: Service, alice: User, is_deleted: bool
    ) -> None:
        assert refused(alice.read(9), 404, 3002)
        user = get_user_model().objects.filter(pk=alice.id)
        if is_deleted:
            user.delete()
        else:
            user.update(is_active=False)
        time.sleep(0.3)
        assert refused(alice.read(9), 401, 1004)

    @with_settings(identity_ttl_s=0.3)
    def test_works_again_when_its_user_is_back(self, service: Service, alice: User) -> None:
        user = get_user_model().objects.filter(pk=alice.id)
        user.update(is_active=False)
        assert refused(alice.read(9), 401, 1004)
        user.update(is_active=True)
        time.sleep(0.3)
        assert refused(alice.read(9), 404, 3002)


@with_settings(identity_ttl_s=0.0)
def test_with_the_database_away_nobody_new_gets_in_and_known_users_go_on(
    service: Service, alice: User, bob: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    alice.sent(bob)
    refresh = str(open_session(get_user_model().objects.get(pk=alice.id)))

    away = (2006, "gone away") if connection.vendor == "mysql" else ("disk I/O error",)

    def fail(*_: object) -> None:
        raise OperationalError(*away)

    with monkeypatch.context() as outage:
        outage.setattr("django.db.backends.utils.CursorWrapper.execute", fail)
        for path, body in (
            ("/api/user/login", {"username": "alice", "password": PASSWORD}),
            ("/api/user/register", {"username": "dave", "password": PASSWORD}),
            ("/api/token/", {"username": "alice", "password": PASSWORD}),
            ("/api/token/refresh/", {"refresh": refresh}),
        ):
            answer = service.anybody.post(path, body)
            assert refused(answer, 503, 5030)
            assert str(away[-1]).encode() not in answer.content
        assert alice.send(bob).status == 200


def test_a_known_user_costs_no_query_per_request(
    alice: User, bob: User, statements: list[str]
) -> None:
    alice.sent(bob)
    assert statements
    statements.clear()
    for _ in range(3):
        alice.sent(bob)
    assert statements == []
