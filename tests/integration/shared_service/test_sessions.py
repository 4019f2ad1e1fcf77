"""Test tokens that are ended: by logout, a new password, a lock-out, or another use."""

from __future__ import annotations

import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import pytest
from django.contrib.auth import get_user_model
from rest_framework_simplejwt.tokens import AccessToken, RefreshToken

from messaging import sessions
from messaging.models import UserTokens
from tests.integration.logins import ENDED, NEW_PASSWORD, OPEN, login, refreshed, saved, state, told
from tests.support.service import PASSWORD, Service, User, at_both_doors

pytestmark = at_both_doors()


class TestANewPassword:
    @pytest.mark.parametrize("fields", [None, ["password"]])
    @pytest.mark.parametrize("is_usable", [True, False])
    def test_from_an_operator_ends_every_token(
        self, service: Service, alice: User, fields: list[str] | None, is_usable: bool
    ) -> None:
        tokens = login(service, alice)
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
            assert state(service, login(service, alice, NEW_PASSWORD)["token"]) == OPEN

    def test_ends_tokens_from_before_they_had_a_generation(
        self, service: Service, alice: User
    ) -> None:
        token = AccessToken()
        token["user_id"] = alice.id
        assert state(service, str(token)) == OPEN
        saved(alice, lambda user: user.set_password(NEW_PASSWORD))
        assert state(service, str(token)) == ENDED

    def test_of_ones_own_leaves_the_new_tokens_alone(self, service: Service, alice: User) -> None:
        other = login(service, alice)
        body = {"oldPassword": PASSWORD, "newPassword": NEW_PASSWORD}
        changed = alice.client.post("/api/user/password", body)
        assert list(changed.data) == ["token", "refresh", "userId"]
        assert changed.data["userId"] == alice.id
        assert state(service, changed.data["token"]) == OPEN
        assert refreshed(service, changed.data["refresh"]).status == 200
        for token in (alice.client.token or "", other["token"]):
            assert state(service, token) == ENDED
        assert told(refreshed(service, other["refresh"])) == ENDED
        body = {"username": alice.name, "password": PASSWORD}
        assert told(service.anybody.post("/api/user/login", body)) == (401, 1003)
        assert login(service, alice, NEW_PASSWORD)

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
        assert login(service, alice)

    def test_that_another_login_overtakes_gives_no_token(
        self, service: Service, alice: User
    ) -> None:
        verified = get_user_model().objects.get(pk=alice.id)
        saved(alice, lambda user: user.set_password(NEW_PASSWORD))
        with pytest.raises(sessions.WrongCredentials):
            sessions.open_session(verified)


class TestALockOut:
    def test_does_not_end_when_its_user_is_back(self, service: Service, alice: User) -> None:
        tokens = login(service, alice)
        assert state(service, tokens["token"]) == OPEN
        saved(alice, lambda user: setattr(user, "is_active", False))
        assert state(service, tokens["token"]) == ENDED
        saved(alice, lambda user: setattr(user, "is_active", True))
        assert state(service, tokens["token"]) == ENDED
        assert told(refreshed(service, tokens["refresh"])) == ENDED
        assert state(service, login(service, alice)["token"]) == OPEN


class TestLogout:
    def test_ends_the_tokens_of_one_login(self, service: Service, alice: User) -> None:
        first, second = login(service, alice), login(service, alice)
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
        other, bobs = login(service, alice), login(service, bob)
        body = {"refresh": other["refresh"]}
        assert alice.client.post("/api/user/logout", body).status == 200
        assert state(service, other["token"]) == ENDED
        assert state(service, alice.client.token or "") == ENDED
        leaving = replace(service.anybody, token=login(service, alice)["token"])
        assert leaving.post("/api/user/logout", {"refresh": 5}).wrong == {"refresh"}
        assert leaving.post("/api/user/logout", {"refresh": bobs["refresh"]}).status == 200
        assert state(service, bobs["token"]) == OPEN
        assert refreshed(service, bobs["refresh"]).status == 200

    def test_ends_a_token_that_belongs_to_no_login(self, service: Service, alice: User) -> None:
        tokens = [
            str(AccessToken.for_user(get_user_model().objects.get(pk=alice.id))) for _ in range(2)
        ]
        leaving = replace(service.anybody, token=tokens[0])
        assert leaving.post("/api/user/logout").status == 200
        assert [state(service, token) for token in tokens] == [ENDED, OPEN]

    def test_everywhere_ends_every_token(self, service: Service, alice: User) -> None:
        other = login(service, alice)
        assert alice.client.post("/api/user/logout-all").data is None
        for token in (alice.client.token or "", other["token"]):
            assert state(service, token) == ENDED
        assert told(refreshed(service, other["refresh"])) == ENDED
        assert state(service, login(service, alice)["token"]) == OPEN

    def test_of_very_many_ends_all(
        self, service: Service, alice: User, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(sessions, "ENDED_HELD", 2)
        logins = [login(service, alice) for _ in range(4)]
        for number, each in enumerate(logins[:3]):
            assert state(service, alice.client.token or "") == OPEN
            replace(service.anybody, token=each["token"]).post("/api/user/logout")
            assert len(UserTokens.objects.get(pk=int(alice.id)).ended) == (number + 1) % 3
        assert state(service, logins[3]["token"]) == ENDED

    def test_is_forgotten_when_the_tokens_have_expired(self, service: Service, alice: User) -> None:
        past = {"x": int(time.time()) - 1}
        UserTokens.objects.create(user_id=alice.id, ended=past)
        assert alice.client.post("/api/user/logout").status == 200
        assert "x" not in UserTokens.objects.get(pk=int(alice.id)).ended


class TestARefreshToken:
    def test_is_good_once(self, service: Service, alice: User) -> None:
        refresh = login(service, alice)["refresh"]
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
        refresh = login(service, alice)["refresh"]
        with ThreadPoolExecutor(8) as many:
            answers = list(many.map(lambda _: refreshed(service, refresh), range(8)))
        assert Counter(map(told, answers)) == {(200, 200): 1, ENDED: 7}
        (winner,) = (answer for answer in answers if answer.status == 200)
        assert state(service, winner.data["access"]) == OPEN
        assert refreshed(service, winner.data["refresh"]).status == 200

    def test_that_comes_again_later_ends_its_login(
        self, service: Service, alice: User, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        stolen = login(service, alice)
        renewed = refreshed(service, stolen["refresh"]).data
        monkeypatch.setattr(sessions, "REUSE_GRACE_MS", -1)
        assert told(refreshed(service, stolen["refresh"])) == ENDED
        for token in (stolen["token"], renewed["access"]):
            assert state(service, token) == ENDED
        assert told(refreshed(service, renewed["refresh"])) == ENDED
        assert state(service, alice.client.token or "") == OPEN

    def test_of_no_login_is_refused(self, service: Service, alice: User) -> None:
        foreign = RefreshToken.for_user(get_user_model().objects.get(pk=alice.id))
        assert told(refreshed(service, str(foreign))) == ENDED

    @pytest.mark.parametrize("claims", [{"sid": 5}, {"sid": "x" * 65}, {"gen": "1"}, {"gen": True}])
    def test_with_a_bad_mark_is_refused(
        self, service: Service, alice: User, claims: dict[str, object]
    ) -> None:
        user = get_user_model().objects.get(pk=alice.id)
        refresh = sessions.open_session(user)
        refresh.payload.update(claims)
        assert told(refreshed(service, str(refresh))) == ENDED
        assert state(service, str(refresh.access_token)) == ENDED
