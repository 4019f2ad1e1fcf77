"""Test users and tokens: who gets in, who does not, and how a token ends."""

from __future__ import annotations

import base64
import json
import time
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import jwt
import pytest
from django.conf import settings as django_settings
from django.contrib.auth import get_user_model
from rest_framework_simplejwt.tokens import AccessToken, RefreshToken

from messaging.sessions import open_session
from tests.support.http_client import Answer
from tests.support.service import PASSWORD, Service, User, at_both_doors, refused

pytestmark = at_both_doors()

Encode = Callable[..., str]
USER_CALLS = ("/api/user/register", "/api/user/login", "/api/token/")


def read_anything(service: Service, token: str) -> Answer:
    headers = {"Authorization": f"Bearer {token}"}
    return service.anybody.call("GET", "/api/message/9", headers=headers)


def encode(claims: dict[str, Any], *, key: str = "", algorithm: str = "HS256") -> str:
    return jwt.encode(claims, key or django_settings.JWT_KEY, algorithm=algorithm)


def claims_of(user: User, **changes: Any) -> dict[str, Any]:
    now = int(time.time())
    claims = {"token_type": "access", "exp": now + 60, "iat": now, "jti": "j", "user_id": user.id}
    return claims | changes


class TestRegistration:
    def test_gives_tokens_that_work_at_once(self, service: Service) -> None:
        answer = service.anybody.post(
            "/api/user/register", {"username": "alice", "password": PASSWORD}
        )
        assert list(answer.data) == ["token", "refresh", "userId"]
        assert isinstance(answer.data["userId"], str)
        assert refused(read_anything(service, answer.data["token"]), 404, 3002)

    def test_needs_a_free_name(self, service: Service, alice: User) -> None:
        taken = {"username": alice.name, "password": PASSWORD}
        assert refused(service.anybody.post("/api/user/register", taken), 409, 1001)
        composed = taken | {"username": alice.name.replace("a", "ａ", 1)}
        assert refused(service.anybody.post("/api/user/register", composed), 409, 1001)

    @pytest.mark.parametrize("username", ["abc", "x" * 32, "张三丰", "a.b+c@d-e_1"])
    def test_takes_names_of_3_to_32_characters(self, service: Service, username: str) -> None:
        assert service.register(username)

    @pytest.mark.parametrize(
        "username", ["ab", "x" * 33, "", " abc", "a b c", "abc\n", "<abc>", "a\u200bbc", "😀😀😀"]
    )
    def test_refuses_other_names(self, service: Service, username: str) -> None:
        body = {"username": username, "password": PASSWORD}
        assert service.anybody.post("/api/user/register", body).wrong == {"username"}

    @pytest.mark.parametrize("password", ["short1!", "password", "1234567890", "alice.long", ""])
    def test_refuses_weak_passwords(self, service: Service, password: str) -> None:
        body = {"username": "alice.longname", "password": password}
        assert service.anybody.post("/api/user/register", body).wrong == {"password"}

    def test_names_all_that_is_wrong(self, service: Service) -> None:
        body = {"username": "a", "password": "b"}
        answer = service.anybody.post("/api/user/register", body)
        assert answer.wrong == {"username", "password"}

    def test_compares_no_password_with_what_is_no_name(self, service: Service) -> None:
        name = "correct.horse.battery.staple.all.over"
        body = {"username": name, "password": name}
        assert service.anybody.post("/api/user/register", body).wrong == {"username"}

    def test_tells_in_the_clients_language(self, service: Service) -> None:
        body = {"username": "ab", "password": "1"}
        headers = {"Accept-Language": "zh-CN"}
        answer = service.anybody.post("/api/user/register", body, headers=headers)
        assert answer.data["errors"]["username"] == ["用户名长度为 3 到 32 个字符。"]
        assert "密码" in "".join(answer.data["errors"]["password"])


class TestLogin:
    def test_gives_tokens(self, service: Service, alice: User) -> None:
        body = {"username": alice.name, "password": PASSWORD}
        answer = service.anybody.post("/api/user/login", body)
        assert list(answer.data) == ["token", "refresh", "userId"]
        assert answer.data["userId"] == alice.id
        assert refused(read_anything(service, answer.data["token"]), 404, 3002)

    @pytest.mark.parametrize("path", ["/api/user/login", "/api/token/"])
    def test_tells_nothing_of_why_it_failed(
        self, service: Service, alice: User, bob: User, path: str
    ) -> None:
        get_user_model().objects.filter(pk=bob.id).update(is_active=False)
        answers = [
            service.anybody.post(path, {"username": username, "password": password})
            for username, password in (
                (alice.name, "wrong"),
                ("nobody", PASSWORD),
                (bob.name, PASSWORD),
                ("' OR 1=1 --", "' OR 1=1 --"),
            )
        ]
        assert all(refused(answer, 401, 1003) for answer in answers)
        assert len({answer.body["message"] for answer in answers}) == 1

    @pytest.mark.parametrize("path", ["/api/user/login", "/api/token/"])
    def test_takes_name_and_password_as_registration_does(
        self, service: Service, unused: str, path: str
    ) -> None:
        body = {"username": f"ａｌｉｃｅ{unused}", "password": "  spaces around  "}
        assert service.anybody.post("/api/user/register", body).status == 200
        assert service.anybody.post(path, body).status == 200
        trimmed = body | {"password": "spaces around"}
        assert refused(service.anybody.post(path, trimmed), 401, 1003)


@pytest.mark.parametrize("path", USER_CALLS)
class TestCredentials:
    def test_are_both_needed(self, service: Service, path: str) -> None:
        assert service.anybody.post(path, {}).wrong == {"username", "password"}
        assert service.anybody.post(path, []).wrong == {"body"}
        assert service.anybody.call("POST", path, content=b"{").wrong == {"body"}

    @pytest.mark.parametrize("value", [5, None, ["alice"], {"a": 1}, "a\0b", "a\ud800b", True])
    def test_are_text(self, service: Service, path: str, value: object) -> None:
        body = {"username": value, "password": value}
        assert service.anybody.post(path, body).wrong == {"username", "password"}

    def test_are_refused_by_their_length(self, service: Service, path: str) -> None:
        body = {"username": "a" + "\u0316\u0301" * 75, "password": "\u00e9" * 513}
        assert service.anybody.post(path, body).wrong == {"username", "password"}


class TestTokenEndpoints:
    @pytest.mark.parametrize("slash", ["", "/"])
    def test_answer_with_simplejwts_fields(self, service: Service, alice: User, slash: str) -> None:
        body = {"username": alice.name, "password": PASSWORD}
        obtained = service.anybody.post(f"/api/token{slash}", body)
        assert set(obtained.data) == {"refresh", "access"}
        assert refused(read_anything(service, obtained.data["access"]), 404, 3002)
        refresh = {"refresh": obtained.data["refresh"]}
        refreshed = service.anybody.post(f"/api/token/refresh{slash}", refresh)
        assert set(refreshed.data) == {"access", "refresh"}
        assert refused(read_anything(service, refreshed.data["access"]), 404, 3002)

    def test_name_a_missing_token(self, service: Service) -> None:
        for body in ({}, {"refresh": None}, {"refresh": ""}, {"refresh": ["x"]}):
            assert service.anybody.post("/api/token/refresh/", body).wrong == {"refresh"}

    def test_do_not_refresh_what_is_no_refresh_token(self, service: Service, alice: User) -> None:
        for token in ("x", "a.b.c", alice.client.token, "é"):
            answer = service.anybody.post("/api/token/refresh/", {"refresh": token})
            assert refused(answer, 401, 1004)

    @pytest.mark.parametrize("user_id", ["abc", "-1", "0", 2**70, "9" * 30, None, [1], 1.5, True])
    def test_do_not_refresh_for_nobody(self, service: Service, alice: User, user_id: Any) -> None:
        token = encode(claims_of(alice, token_type="refresh", user_id=user_id))
        answer = service.anybody.post("/api/token/refresh/", {"refresh": token})
        assert refused(answer, 401, 1004)

    def test_do_not_refresh_for_somebody_who_is_gone(
        self, service: Service, alice: User, bob: User
    ) -> None:
        users = get_user_model().objects
        tokens = [str(open_session(users.get(pk=user.id))) for user in (alice, bob)]
        users.filter(pk=alice.id).update(is_active=False)
        users.filter(pk=bob.id).delete()
        for token in tokens:
            answer = service.anybody.post("/api/token/refresh/", {"refresh": token})
            assert refused(answer, 401, 1004)


class TestAToken:
    def test_of_simplejwt_is_taken(self, service: Service, alice: User) -> None:
        assert refused(read_anything(service, encode(claims_of(alice))), 404, 3002)

    def test_that_is_missing_is_told_from_one_that_is_bad(self, service: Service) -> None:
        missing: list[dict[str, str]] = [{}, {"Authorization": ""}, {"Authorization": "Basic YTpi"}]
        for headers in missing:
            answer = service.anybody.call("GET", "/api/message/9", headers=headers)
            assert refused(answer, 401, 401)
        for sent in ("Bearer", "Bearer ", "Bearer a b", "bearer x", "Bearer \xe9", "Bearer ..."):
            answer = service.anybody.call("GET", "/api/message/9", headers={"Authorization": sent})
            assert refused(answer, 401, 1004)

    def test_in_the_address_is_not_seen(self, service: Service, alice: User) -> None:
        token = alice.client.token
        for name in ("token", "access_token", "jwt"):
            assert refused(service.anybody.get("/api/message/9", **{name: token}), 401, 401)

    @pytest.mark.parametrize("algorithm", ["none", "NoNe", "NONE", "HS512", "HS384", "RS256", ""])
    def test_of_another_algorithm_is_refused(
        self, service: Service, alice: User, algorithm: str
    ) -> None:
        if algorithm in ("HS512", "HS384"):
            token = encode(claims_of(alice), algorithm=algorithm)
        else:
            header, claims = (
                base64.urlsafe_b64encode(json.dumps(part).encode()).rstrip(b"=").decode()
                for part in ({"alg": algorithm, "typ": "JWT"}, claims_of(alice))
            )
            token = f"{header}.{claims}."
        assert refused(read_anything(service, token), 401, 1004)

    def test_under_another_key_is_refused(self, service: Service, alice: User) -> None:
        for key in ("k" * 64, django_settings.SECRET_KEY):
            assert refused(read_anything(service, encode(claims_of(alice), key=key)), 401, 1004)

    def test_that_was_changed_is_refused(self, service: Service, alice: User, bob: User) -> None:
        header, claims, signature = encode(claims_of(alice)).split(".")
        _, others_claims, _ = encode(claims_of(bob)).split(".")
        swapped = "B" if signature[0] == "A" else "A"
        for token in (
            f"{header}.{others_claims}.{signature}",
            f"{header}.{claims}.{swapped}{signature[1:]}",
            f"{header}.{claims}.",
            f"{header}.{claims}",
        ):
            assert refused(read_anything(service, token), 401, 1004)

    def test_that_has_expired_is_refused(self, service: Service, alice: User) -> None:
        token = encode(claims_of(alice, exp=int(time.time()) - 1))
        assert refused(read_anything(service, token), 401, 1004)

    def test_expires_on_its_own(self, service: Service, alice: User) -> None:
        token = AccessToken()
        token["user_id"] = alice.id
        token.set_exp(lifetime=timedelta(seconds=2))
        assert refused(read_anything(service, str(token)), 404, 3002)
        time.sleep(2.1)
        assert refused(read_anything(service, str(token)), 401, 1004)

    @pytest.mark.parametrize("missing", ["exp", "jti", "token_type", "user_id"])
    def test_without_a_claim_is_refused(self, service: Service, alice: User, missing: str) -> None:
        claims = claims_of(alice)
        del claims[missing]
        assert refused(read_anything(service, encode(claims)), 401, 1004)

    @pytest.mark.parametrize(
        "claims",
        [
            *({"user_id": value} for value in ("abc", "", "-1", "0", "01", "9" * 50, "١", " 1")),
            *({"user_id": value} for value in (-1, 0, 2**63, 1.0, True, None)),
            *({"user_id": value} for value in ([1], {"id": 1})),
            *({"token_type": value} for value in ("refresh", "sliding", "", None, 1)),
            *({"exp": value} for value in ("soon", None, [], -1, 10**18, 1e30)),
            *({"nbf": value} for value in (2**40, "later")),
            *({"iat": value} for value in (2**40, "earlier")),
        ],
        ids=str,
    )
    def test_with_a_bad_claim_is_refused(
        self, service: Service, alice: User, claims: dict[str, Any]
    ) -> None:
        token = encode(claims_of(alice, **claims))
        assert refused(read_anything(service, token), 401, 1004)

    def test_to_refresh_with_gives_no_access(self, service: Service, alice: User) -> None:
        user = get_user_model().objects.get(pk=alice.id)
        assert refused(read_anything(service, str(RefreshToken.for_user(user))), 401, 1004)

    @pytest.mark.parametrize("is_deleted", [False, True])
    def test_of_somebody_who_is_locked_out_ends_at_once(
        self, service: Service, alice: User, is_deleted: bool
    ) -> None:
        assert refused(alice.read(9), 404, 3002)
        user = get_user_model().objects.get(pk=alice.id)
        if is_deleted:
            user.delete()
        else:
            user.is_active = False
            user.save()
        assert refused(alice.read(9), 401, 1004)
