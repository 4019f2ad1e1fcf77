"""Test tokens that are ended: by logout, a new password, a lock-out, or another use."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import Any

import pytest
from django.contrib.auth import get_user_model
from django.core.management import call_command
from rest_framework_simplejwt.tokens import AccessToken, RefreshToken

from messaging import sessions
from messaging.models import UserSession, UserTokens
from tests.support.http_client import Answer
from tests.support.service import PASSWORD, Service, User, at_both_doors, with_settings

pytestmark = at_both_doors()

NEW_PASSWORD = "another one 77"
OPEN, ENDED = (404, 3002), (401, 1004)


def login(service: Service, username: str = "alice", password: str = PASSWORD) -> dict[str, str]:
    body = {"username": username, "password": password}
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


class TestANewPassword:
    @pytest.mark.parametrize("fields", [None, ["password"]])
    @pytest.mark.parametrize("is_usable", [True, False])
    def test_from_an_operator_ends_every_token(
        self, service: Service, alice: User, fields: list[str] | None, is_usable: bool
    ) -> None:
        tokens = login(service)
        assert state(service, tokens["token"]) == OPEN
        saved(
            alice,
            lambda user: (
                user.set_password(NEW_PASSWORD) if is_usable else user.set_unusable_password()
            ),
            update_fields=fields,
        )
        for token in (tokens["token"], alice.client.token or ""):
            assert state(service, token) == ENDED
        assert told(refreshed(service, tokens["refresh"])) == ENDED
        if is_usable:
            assert state(service, login(service, password=NEW_PASSWORD)["token"]) == OPEN

    def test_ends_tokens_from_before_they_had_a_generation(
        self, service: Service, alice: User
    ) -> None:
        token = AccessToken()
        token["user_id"] = alice.id
        assert state(service, str(token)) == OPEN
        saved(alice, lambda user: user.set_password(NEW_PASSWORD))
        assert state(service, str(token)) == ENDED

    def test_of_ones_own_leaves_the_new_tokens_alone(self, service: Service, alice: User) -> None:
        other = login(service)
        body = {"oldPassword": PASSWORD, "newPassword": NEW_PASSWORD}
        changed = alice.client.post("/api/user/password", body)
        assert list(changed.data) == ["token", "refresh", "userId"]
        assert changed.data["userId"] == alice.id
        assert state(service, changed.data["token"]) == OPEN
        assert refreshed(service, changed.data["refresh"]).status == 200
        for token in (alice.client.token or "", other["token"]):
            assert state(service, token) == ENDED
        assert told(refreshed(service, other["refresh"])) == ENDED
        body = {"username": "alice", "password": PASSWORD}
        assert told(service.anybody.post("/api/user/login", body)) == (401, 1003)
        assert login(service, password=NEW_PASSWORD)

    def test_of_ones_own_needs_the_old_one_and_a_good_one(
        self, service: Service, alice: User
    ) -> None:
        post = alice.client.post
        wrong = post("/api/user/password", {"oldPassword": "x", "newPassword": NEW_PASSWORD})
        assert told(wrong) == (401, 1003)
        weak = post("/api/user/password", {"oldPassword": PASSWORD, "newPassword": "alice"})
        assert weak.wrong == {"newPassword"}
        assert post("/api/user/password", {}).wrong == {"oldPassword", "newPassword"}
        assert told(service.anybody.post("/api/user/password", {})) == (401, 401)
        assert state(service, alice.client.token or "") == OPEN
        assert login(service)

    def test_that_another_login_overtakes_gives_no_token(
        self, service: Service, alice: User
    ) -> None:
        verified = get_user_model().objects.get(pk=alice.id)
        saved(alice, lambda user: user.set_password(NEW_PASSWORD))
        with pytest.raises(sessions.WrongCredentials):
            sessions.open_session(verified)

    def test_is_nothing_that_other_changes_are(self, service: Service, alice: User) -> None:
        saved(alice, lambda user: setattr(user, "first_name", "Alice"))
        assert state(service, alice.client.token or "") == OPEN
        assert not UserTokens.objects.exists()


class TestALockOut:
    def test_does_not_end_when_its_user_is_back(self, service: Service, alice: User) -> None:
        tokens = login(service)
        assert state(service, tokens["token"]) == OPEN
        saved(alice, lambda user: setattr(user, "is_active", False))
        assert state(service, tokens["token"]) == ENDED
        saved(alice, lambda user: setattr(user, "is_active", True))
        assert state(service, tokens["token"]) == ENDED
        assert told(refreshed(service, tokens["refresh"])) == ENDED
        assert state(service, login(service)["token"]) == OPEN


class TestLogout:
    def test_ends_the_tokens_of_one_login(self, service: Service, alice: User) -> None:
        first, second = login(service), login(service)
        fresh = refreshed(service, first["refresh"]).data
        leaving = replace(service.anybody, token=first["token"])
        assert leaving.post("/api/user/logout").data is None
        for token in (first["token"], fresh["access"]):
            assert state(service, token) == ENDED
        assert told(refreshed(service, fresh["refresh"])) == ENDED
        assert told(leaving.post("/api/user/logout")) == ENDED
        for token in (second["token"], alice.client.token or ""):
            assert state(service, token) == OPEN
        assert refreshed(service, second["refresh"]).status == 200

    def test_ends_a_login_that_its_refresh_token_names(
        self, service: Service, alice: User, bob: User
    ) -> None:
        other, bobs = login(service), login(service, "bob")
        body = {"refresh": other["refresh"]}
        assert alice.client.post("/api/user/logout", body).status == 200
        assert state(service, other["token"]) == ENDED
        assert state(service, alice.client.token or "") == ENDED
        leaving = replace(service.anybody, token=login(service)["token"])
        assert leaving.post("/api/user/logout", {"refresh": 5}).wrong == {"refresh"}
        assert leaving.post("/api/user/logout", {"refresh": bobs["refresh"]}).status == 200
        assert state(service, bobs["token"]) == OPEN
        assert refreshed(service, bobs["refresh"]).status == 200

    def test_ends_a_token_that_belongs_to_no_login(self, service: Service, alice: User) -> None:
        tokens = [str(AccessToken.for_user(get_user_model().objects.get())) for _ in range(2)]
        leaving = replace(service.anybody, token=tokens[0])
        assert leaving.post("/api/user/logout").status == 200
        assert [state(service, token) for token in tokens] == [ENDED, OPEN]

    def test_everywhere_ends_every_token(self, service: Service, alice: User) -> None:
        other = login(service)
        assert alice.client.post("/api/user/logout-all").data is None
        for token in (alice.client.token or "", other["token"]):
            assert state(service, token) == ENDED
        assert told(refreshed(service, other["refresh"])) == ENDED
        assert state(service, login(service)["token"]) == OPEN

    def test_of_very_many_ends_all(
        self, service: Service, alice: User, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(sessions, "ENDED_HELD", 2)
        logins = [login(service) for _ in range(4)]
        for number, each in enumerate(logins[:3]):
            assert state(service, alice.client.token or "") == OPEN
            replace(service.anybody, token=each["token"]).post("/api/user/logout")
            assert len(UserTokens.objects.get().ended) == (number + 1) % 3
        assert state(service, logins[3]["token"]) == ENDED

    def test_is_forgotten_when_the_tokens_have_expired(self, service: Service, alice: User) -> None:
        past = {"x": int(time.time()) - 1}
        UserTokens.objects.create(user_id=alice.id, ended=past)
        assert alice.client.post("/api/user/logout").status == 200
        assert "x" not in UserTokens.objects.get().ended


class TestARefreshToken:
    def test_is_good_once(self, service: Service, alice: User) -> None:
        refresh = login(service)["refresh"]
        seen = {refresh}
        for _ in range(3):
            answer = refreshed(service, refresh)
            assert list(answer.data) == ["access", "refresh"]
            assert state(service, answer.data["access"]) == OPEN
            assert told(refreshed(service, refresh)) == ENDED
            refresh = answer.data["refresh"]
            seen.add(refresh)
        assert len(seen) == 4

    def test_is_good_for_one_of_those_who_use_it_at_once(
        self, service: Service, alice: User
    ) -> None:
        refresh = login(service)["refresh"]
        with ThreadPoolExecutor(8) as many:
            answers = list(many.map(lambda _: refreshed(service, refresh), range(8)))
        assert Counter(map(told, answers)) == {(200, 200): 1, ENDED: 7}
        (winner,) = (answer for answer in answers if answer.status == 200)
        assert state(service, winner.data["access"]) == OPEN
        assert refreshed(service, winner.data["refresh"]).status == 200

    def test_that_comes_again_later_ends_its_login(
        self, service: Service, alice: User, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        stolen = login(service)
        renewed = refreshed(service, stolen["refresh"]).data
        monkeypatch.setattr(sessions, "REUSE_GRACE_MS", -1)
        assert told(refreshed(service, stolen["refresh"])) == ENDED
        for token in (stolen["token"], renewed["access"]):
            assert state(service, token) == ENDED
        assert told(refreshed(service, renewed["refresh"])) == ENDED
        assert state(service, alice.client.token or "") == OPEN

    def test_of_no_login_is_refused(self, service: Service, alice: User) -> None:
        foreign = RefreshToken.for_user(get_user_model().objects.get())
        assert told(refreshed(service, str(foreign))) == ENDED

    @pytest.mark.parametrize("claims", [{"sid": 5}, {"sid": "x" * 65}, {"gen": "1"}, {"gen": True}])
    def test_with_a_bad_mark_is_refused(
        self, service: Service, alice: User, claims: dict[str, object]
    ) -> None:
        user = get_user_model().objects.get()
        refresh = sessions.open_session(user)
        refresh.payload.update(claims)
        assert told(refreshed(service, str(refresh))) == ENDED
        assert state(service, str(refresh.access_token)) == ENDED

    def test_that_has_expired_leaves_nothing_behind(
        self, service: Service, alice: User, bob: User
    ) -> None:
        UserSession.objects.filter(user_id=bob.id).update(expires_at=1)
        login(service)
        assert set(UserSession.objects.values_list("user_id", flat=True)) == {int(alice.id)}

    def test_is_kept_for_a_bounded_number_of_logins(
        self, service: Service, alice: User, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(sessions, "SESSIONS_HELD", 3)
        UserSession.objects.update(expires_at=1)  # the registration's session expires
        logins = [login(service) for _ in range(4)]
        assert UserSession.objects.count() == 3
        assert refreshed(service, logins[3]["refresh"]).status == 200


@with_settings(change_rate=0.01, change_burst=2)
def test_what_a_user_changes_about_tokens_has_a_rate(
    service: Service, alice: User, bob: User
) -> None:
    logins = [login(service) for _ in range(5)]
    for each in logins[:2]:
        refreshed(service, each["refresh"])
    for call, body in (
        ("/api/token/refresh/", {"refresh": logins[2]["refresh"]}),
        ("/api/user/logout", {}),
        ("/api/user/logout-all", {}),
        ("/api/user/password", {"oldPassword": PASSWORD, "newPassword": NEW_PASSWORD}),
    ):
        assert told(alice.client.post(call, body)) == (429, 4290)
    assert state(service, alice.client.token or "") == OPEN
    assert bob.client.post("/api/user/logout").status == 200


@with_settings(identity_ttl_s=0.3)
def test_an_end_that_nobody_was_told_of_counts_in_the_stated_time(
    service: Service, alice: User
) -> None:
    assert state(service, alice.client.token or "") == OPEN
    UserTokens.objects.bulk_create([UserTokens(user_id=alice.id, generation=1)])
    time.sleep(0.3)
    assert state(service, alice.client.token or "") == ENDED


def test_demo_tokens_are_good_after_a_logout(
    service: Service, alice: User, capsys: pytest.CaptureFixture[str]
) -> None:
    alice.client.post("/api/user/logout-all")
    call_command("demo_tokens")
    shown = dict(line.split("=") for line in capsys.readouterr().out.split())
    assert state(service, shown["ALICE"]) == OPEN


def test_a_user_with_ended_tokens_can_be_deleted(service: Service, alice: User) -> None:
    sessions.end_session(int(alice.id), "x")
    login(service)
    get_user_model().objects.get().delete()
    assert not UserTokens.objects.exists()
    assert not UserSession.objects.exists()
