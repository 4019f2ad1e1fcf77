"""Test profiles and the look-up of users by the API."""

from __future__ import annotations

import pytest
from django.contrib.auth import get_user_model

from tests.support.service import Service, User, refused

ME, GET, FIND = "/api/user/me", "/api/user/get", "/api/user/find"
NOBODY = "999999999"


def public(user: User) -> dict[str, object]:
    return {"userId": user.id, "username": user.name, "nickname": "", "avatar": ""}


class TestOnesOwnProfile:
    def test_has_the_defaults_at_first(self, alice: User) -> None:
        own = {"showsReceipts": True, "invitesFrom": "everybody"}
        assert alice.client.get(ME).data == public(alice) | own

    def test_keeps_what_is_set_and_nothing_else_changes(self, alice: User) -> None:
        first = {"nickname": "Al", "avatar": "https://img.example.org/al.png"}
        second = {"showsReceipts": False, "invitesFrom": "nobody"}
        alice.client.post(ME, first)
        assert alice.client.post(ME, second).data == public(alice) | first | second
        assert alice.client.get(ME).data == public(alice) | first | second
        assert alice.client.post(ME, {}).data == public(alice) | first | second

    def test_loses_a_text_by_an_empty_one(self, alice: User) -> None:
        alice.client.post(ME, {"nickname": "Al", "avatar": "/al.png"})
        shown = alice.client.post(ME, {"nickname": "", "avatar": ""}).data
        assert (shown["nickname"], shown["avatar"]) == ("", "")

    def test_is_kept_once_for_all_who_set_it_at_once(self, alice: User) -> None:
        for name in ("one", "two"):
            assert alice.client.post(ME, {"nickname": name}).data["nickname"] == name


class TestAnotherUser:
    def test_shows_what_is_public(self, alice: User, bob: User) -> None:
        bob.client.post(ME, {"nickname": "Bobby", "invitesFrom": "nobody"})
        shown = public(bob) | {"nickname": "Bobby"}
        assert alice.client.get(f"/api/user/{bob.id}").data == shown
        assert alice.client.get(FIND, username=bob.name).data == shown
        assert alice.client.post(GET, {"userIds": [bob.id]}).data["list"] == [shown]

    def test_unknown_is_told_as_such(self, alice: User) -> None:
        assert refused(alice.client.get(f"/api/user/{NOBODY}"), 404, 1002)
        assert refused(alice.client.get(FIND, username="no-such-name"), 404, 1002)
        data = alice.client.post(GET, {"userIds": [NOBODY, alice.id, alice.id]}).data
        assert data == {"list": [public(alice)], "missing": [NOBODY]}

    def test_locked_out_is_as_absent(self, alice: User, bob: User) -> None:
        user = get_user_model().objects.get(pk=int(bob.id))
        user.is_active = False
        user.save()
        assert refused(alice.client.get(f"/api/user/{bob.id}"), 404, 1002)
        assert refused(alice.client.get(FIND, username=bob.name), 404, 1002)

    def test_is_found_by_the_whole_name_alone(self, alice: User, bob: User) -> None:
        assert refused(alice.client.get(FIND, username=bob.name[:-1]), 404, 1002)
        assert refused(alice.client.get(FIND, username="%"), 404, 1002)

    @pytest.mark.parametrize("blank", ["", " "])
    def test_is_not_found_by_a_blank_name(self, alice: User, blank: str) -> None:
        answer = alice.client.get(FIND, username=blank)
        assert (answer.status, list(answer.data["errors"])) == (400, ["username"])


def test_the_address_of_a_user_hides_no_other_call(service: Service, alice: User) -> None:
    assert alice.client.get("/api/user/blocks").data["list"] == []
    assert refused(alice.client.get("/api/user/block"), 405, 405)
    assert refused(service.anybody.call("GET", "/api/user/login"), 405, 405)
