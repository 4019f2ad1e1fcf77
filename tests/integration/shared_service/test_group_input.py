"""Test bad input of the calls on groups and users: each wrong field is named, all at once."""

from __future__ import annotations

from typing import Any

import pytest

from tests.support.groups import create
from tests.support.service import Service, User, refused

POSTS: dict[str, dict[str, Any]] = {
    "group/create": {"name": "x"},
    "group/update": {"groupId": "1"},
    "group/join": {"groupId": "1"},
    "group/answer": {"groupId": "1", "userId": "1", "accept": True},
    "group/invite": {"groupId": "1", "userIds": ["999"]},
    "group/leave": {"groupId": "1"},
    "group/remove": {"groupId": "1", "userIds": ["999"]},
    "group/unban": {"groupId": "1", "userIds": ["999"]},
    "group/role": {"groupId": "1", "userId": "1", "role": "admin"},
    "group/transfer": {"groupId": "1", "userId": "1"},
    "group/mute": {"groupId": "1", "userId": "1", "forS": 1},
    "group/nickname": {"groupId": "1", "nickname": "x"},
    "group/dissolve": {"groupId": "1"},
    "user/get": {"userIds": ["1"]},
    "user/me": {},
}
GETS = {
    "group/members": {"groupId": "1"},
    "group/requests": {"groupId": "1"},
    "user/find": {"username": "x"},
}
NO_IDS = [0, -1, 1.5, 2**63, "", "x", "01", " 1", True, [], {}]
NO_TEXTS = [1, True, [], {}, "\0", "a\0b"]
BLANK = ["", " ", "\u200b", "\u3000\t"]
NO_FLAGS = [0, 1, "true", "", [], {}]
NO_URLS = ["x", "//x", "ftp://x", "a b", "http://", "https://x\u200b/", "/" + "x" * 2_048]
NO_LISTS = ["1", 1, {}, True, [0], ["x"], [None], [[1]], list(range(1, 202))]
BAD_VALUES = [
    ("group/create", "name", [*NO_TEXTS, *BLANK, "x" * 101, " x", "a\u202eb", "\ud800"]),
    ("group/create", "memberIds", NO_LISTS),
    ("group/create", "avatar", [*NO_TEXTS, *NO_URLS]),
    ("group/create", "joinMode", ["", "Open", "closed", 1, [], {}, True]),
    ("group/create", "history", ["", "none", 1, ["all"], True]),
    ("group/create", "inviteBy", ["", "owner", "admin", 1, []]),
    ("group/create", "atAllBy", ["", "everybody", 1, {}]),
    ("group/create", "requestId", ["", "x" * 65, "é", "a\nb", 1, []]),
    ("group/update", "name", [*NO_TEXTS, *BLANK, "x" * 101]),
    ("group/update", "announcement", [*NO_TEXTS, " ", "\u200b", "x" * 2_001]),
    ("group/update", "isAllMuted", NO_FLAGS),
    ("group/update", "joinMode", ["", "closed"]),
    ("group/join", "text", [*NO_TEXTS, " ", "x" * 201]),
    ("group/answer", "accept", NO_FLAGS),
    ("group/invite", "userIds", [*NO_LISTS, []]),
    ("group/remove", "userIds", [*NO_LISTS, []]),
    ("group/remove", "ban", NO_FLAGS),
    ("group/unban", "userIds", [*NO_LISTS, []]),
    ("group/role", "role", ["", "owner", "Admin", 1, [], {}]),
    ("group/mute", "forS", [-2, 2_592_001, 1.5, "60", "", True, [], {}, 2**64]),
    ("group/nickname", "nickname", [*NO_TEXTS, " ", "\u200b", "x" * 65]),
    ("user/get", "userIds", ["1", 1, {}, [], [0], list(range(1, 102))]),
    ("user/me", "nickname", [*NO_TEXTS, " ", "x" * 65]),
    ("user/me", "avatar", [*NO_TEXTS, *NO_URLS]),
    ("user/me", "showsReceipts", NO_FLAGS),
    ("user/me", "invitesFrom", ["", "friends", 1, []]),
]
NEEDED = [(path, field) for path, body in POSTS.items() for field in body]


@pytest.mark.parametrize(("path", "field", "values"), BAD_VALUES, ids=lambda v: str(v)[:20])
def test_a_wrong_value_is_named(alice: User, path: str, field: str, values: list[Any]) -> None:
    for value in values:
        answer = alice.client.post(f"/api/{path}", POSTS[path] | {field: value})
        assert answer.wrong == {field}, (value, answer.content)


@pytest.mark.parametrize(("path", "field"), NEEDED)
def test_a_needed_value_that_is_absent_is_named(alice: User, path: str, field: str) -> None:
    given = POSTS[path]
    for absent in (given | {field: None}, {k: v for k, v in given.items() if k != field}):
        assert field in alice.client.post(f"/api/{path}", absent).wrong


@pytest.mark.parametrize("field", ["groupId", "userId"])
def test_what_is_no_id_is_named(alice: User, field: str) -> None:
    for path, body in POSTS.items():
        if field in body:
            for value in NO_IDS:
                assert alice.client.post(f"/api/{path}", body | {field: value}).wrong == {field}


def test_all_wrong_fields_are_named_at_once(alice: User) -> None:
    body = {"name": " ", "memberIds": 1, "avatar": "x", "joinMode": "x", "requestId": ""}
    body |= {"history": 1, "inviteBy": 1, "atAllBy": 1}
    assert alice.client.post("/api/group/create", body).wrong == body.keys()


def test_oneself_is_no_one_to_be_named(alice: User) -> None:
    body = {"groupId": "1", "userIds": [alice.id]}
    for path in ("invite", "remove", "unban"):
        assert alice.client.post(f"/api/group/{path}", body).wrong == {"userIds"}
    create_body = {"name": "x", "memberIds": [alice.id]}
    assert alice.client.post("/api/group/create", create_body).wrong == {"memberIds"}


@pytest.mark.parametrize(
    ("path", "field", "values"),
    [
        ("group/members", "groupId", ["0", "x", ""]),
        ("group/members", "role", ["", "boss", "members"]),
        (
            "group/members",
            "after",
            ["", "x", "1", "b3duZXI6", "b3duZXI6MA", "Ym9zczox", "é", "===="],
        ),
        ("group/members", "size", ["", "0", "101", "x", "-1"]),
        ("group/requests", "groupId", ["0", "x", ""]),
        ("group/requests", "after", ["", "x", "b3duZXI6MQ", "é"]),
        ("group/requests", "size", ["0", "101"]),
        ("user/find", "username", ["x" * 151, "a\0"]),
    ],
    ids=lambda v: str(v)[:20],
)
def test_a_wrong_query_is_named(alice: User, path: str, field: str, values: list[str]) -> None:
    for value in values:
        answer = alice.client.get(f"/api/{path}", **(GETS[path] | {field: value}))
        assert answer.wrong == {field}, (value, answer.content)


@pytest.mark.parametrize(("path", "field"), [("group", "groupId"), ("user", "userId")])
def test_an_address_that_is_no_id_is_named(alice: User, path: str, field: str) -> None:
    for value in ("0", "x", "-1", "9223372036854775808"):
        assert alice.client.get(f"/api/{path}/{value}").wrong == {field}


def test_texts_are_kept_as_they_are_sent(alice: User) -> None:
    text = "Line one\r\nline two \t 👩‍👩‍👧 'x' \" \\ <b>"
    group_id = create(alice, name="Książki 📚 読書会")
    body = {"groupId": group_id, "announcement": text}
    group = alice.client.post("/api/group/update", body).data["group"]
    assert (group["name"], group["announcement"]) == ("Książki 📚 読書会", text)


def test_every_call_needs_a_token_and_the_right_method(service: Service, alice: User) -> None:
    for method, calls in (("POST", POSTS), ("GET", GETS | {"group/1": {}, "user/1": {}})):
        for path, body in calls.items():
            assert refused(service.anybody.call(method, f"/api/{path}", body), 401, 401)
            assert refused(alice.client.call("PUT", f"/api/{path}", body), 405, 405)
