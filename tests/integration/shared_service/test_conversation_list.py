"""Test the list of conversations, unread numbers, read marks and readers by HTTP alone."""

from __future__ import annotations

from typing import Any

import pytest

from tests.support.groups import create, done
from tests.support.service import Service, User, at_both_doors, refused

pytestmark = at_both_doors()

FIELDS = [
    "conversationId",
    "chatType",
    "group",
    "peerUserId",
    "peer",
    "lastMessage",
    "unread",
    "unreadIsMore",
    "readSeq",
    "lastSeq",
    "pinTime",
    "mutedUntil",
    "isHidden",
    "isMarkedUnread",
    "floorId",
    "lastActive",
]


def conversations(user: User, **query: object) -> list[Any]:
    answer = user.client.get("/api/conversation/list", **query)
    assert answer.status == 200, answer.content
    assert list(answer.data) == ["list", "hasMore", "nextAfter", "partial"]
    assert answer.data["partial"] is False
    return list(answer.data["list"])


def only(user: User) -> Any:
    (conversation,) = conversations(user)
    return conversation


def mark(user: User, conversation_id: str, **seqs: object) -> Any:
    item = {"conversationId": conversation_id} | seqs
    answer = user.client.post("/api/conversation/receipts", {"items": [item]})
    assert answer.status == 200, answer.content
    assert answer.data["refused"] == []
    (marked,) = answer.data["items"]
    return marked


def readers(user: User, message_id: str, **query: object) -> Any:
    answer = user.client.get("/api/message/readers", messageId=message_id, **query)
    assert answer.status == 200, answer.content
    return answer.data


class TestAConversation:
    def test_is_listed_with_all_its_fields(self, service: Service, alice: User, bob: User) -> None:
        message_id = alice.sent(bob, "hello")
        service.persist()
        listed = only(bob)
        name = f"{alice.id}_{bob.id}"
        assert list(listed) == FIELDS
        assert listed["lastMessage"] == bob.read(message_id).data
        assert listed | {"lastMessage": None} == {
            "conversationId": name,
            "chatType": 1,
            "group": None,
            "peerUserId": alice.id,
            "peer": {"readSeq": 0, "deliveredSeq": 0},
            "lastMessage": None,
            "unread": 1,
            "unreadIsMore": False,
            "readSeq": 0,
            "lastSeq": 1,
            "pinTime": None,
            "mutedUntil": 0,
            "isHidden": False,
            "isMarkedUnread": False,
            "floorId": "0",
            "lastActive": listed["lastMessage"]["sendTime"],
        }
        answer = bob.client.get("/api/conversation", targetId=alice.id, chatType=1)
        assert answer.data == listed | {"partial": False}

    def test_of_a_group_has_the_group(self, alice: User, bob: User) -> None:
        group_id = create(alice, bob, avatar="/club.png")
        done(alice, "update", group_id, announcement="Welcome")
        listed = only(bob)
        assert listed["conversationId"] == f"g{group_id}"
        assert listed["group"] == bob.client.get(f"/api/group/{group_id}").data["group"]
        assert listed["group"]["announcement"] == "Welcome"
        assert (listed["peerUserId"], listed["peer"], listed["unread"]) == (None, None, 0)
        answer = bob.client.get("/api/conversation", targetId=group_id, chatType=2)
        assert answer.data == listed | {"partial": False}

    def test_with_a_stranger_and_of_anothers_group_is_none(self, alice: User, bob: User) -> None:
        group_id = create(alice)
        for target_id, chat_type in ((alice.id, 1), (group_id, 2), ("999999", 2)):
            answer = bob.client.get("/api/conversation", targetId=target_id, chatType=chat_type)
            assert refused(answer, 404, 2007)

    def test_is_gone_with_the_membership(self, alice: User, bob: User) -> None:
        group_id = create(alice, bob)
        assert len(conversations(bob)) == 1
        done(alice, "remove", group_id, userIds=[bob.id])
        assert conversations(bob) == []
        answer = bob.client.get("/api/conversation", targetId=group_id, chatType=2)
        assert refused(answer, 404, 2007)
        item = {"conversationId": f"g{group_id}", "readSeq": 1}
        assert refused(bob.client.post("/api/conversation/receipts", {"items": [item]}), 404, 2007)

    def test_shows_what_the_history_shows_first(
        self, service: Service, alice: User, bob: User
    ) -> None:
        first, last = alice.sent(bob, "one"), alice.sent(bob, "two")
        service.persist()
        for act in (
            lambda: alice.recall(last),
            lambda: bob.delete(last),
            lambda: bob.delete(first),
        ):
            assert act().status == 200
            service.persist()
            shown = bob.history(alice).data["list"]
            assert only(bob)["lastMessage"] == next(iter(shown), None)


class TestTheList:
    def test_goes_on_behind_its_cursor(
        self, service: Service, alice: User, bob: User, carol: User
    ) -> None:
        for other in (bob, carol):
            other.sent(alice)
        service.persist()
        first = alice.client.get("/api/conversation/list", size=1).data
        assert first["hasMore"] is True
        second = alice.client.get("/api/conversation/list", size=1, after=first["nextAfter"]).data
        assert (second["hasMore"], second["nextAfter"]) == (False, None)
        assert [each["peerUserId"] for each in first["list"] + second["list"]] == [
            carol.id,
            bob.id,
        ]

    def test_has_pinned_ones_first_and_hidden_ones_on_demand(
        self, service: Service, alice: User, bob: User, carol: User
    ) -> None:
        for other in (bob, carol):
            other.sent(alice)
        service.persist()
        with_bob, with_carol = (f"{alice.id}_{other.id}" for other in (bob, carol))
        alice.client.post("/api/conversation/set", {"conversationId": with_bob, "pinned": True})
        assert [each["conversationId"] for each in conversations(alice)] == [with_bob, with_carol]
        alice.client.post("/api/conversation/set", {"conversationId": with_bob, "hidden": True})
        assert [each["conversationId"] for each in conversations(alice)] == [with_carol]
        hidden = conversations(alice, includeHidden="true")
        assert [each["isHidden"] for each in hidden] == [True, False]
        bob.sent(alice)
        assert [each["conversationId"] for each in conversations(alice)] == [with_bob, with_carol]

    @pytest.mark.parametrize(
        ("query", "field"),
        [
            ({"size": "0"}, "size"),
            ({"size": "101"}, "size"),
            ({"after": "x"}, "after"),
            ({"includeHidden": "1"}, "includeHidden"),
        ],
    )
    def test_refuses(self, alice: User, query: dict[str, str], field: str) -> None:
        answer = alice.client.get("/api/conversation/list", **query)
        assert (answer.status, list(answer.data["errors"])) == (400, [field])


class TestMarks:
    def test_count_up_to_the_last_message_and_never_fall(
        self, service: Service, alice: User, bob: User
    ) -> None:
        name = f"{alice.id}_{bob.id}"
        for _ in range(3):
            alice.sent(bob)
        service.persist()
        assert only(bob)["unread"] == 3
        told = {"conversationId": name, "readSeq": 2, "deliveredSeq": 2}
        assert mark(bob, name, readSeq=2) == told
        assert mark(bob, name, readSeq=1) == told
        assert (only(bob)["unread"], only(bob)["readSeq"]) == (1, 2)
        assert only(alice)["peer"] == {"readSeq": 2, "deliveredSeq": 2}
        assert mark(bob, name, deliveredSeq=99) == told | {"deliveredSeq": 3}
        assert mark(bob, name, readSeq="99") == told | {"readSeq": 3, "deliveredSeq": 3}
        assert only(bob)["unread"] == 0

    def test_of_unknown_conversations_are_named(
        self, service: Service, alice: User, bob: User
    ) -> None:
        alice.sent(bob)
        service.persist()
        items = [
            {"conversationId": f"{alice.id}_{bob.id}", "readSeq": 1},
            {"conversationId": "g999999", "readSeq": 1},
        ]
        data = bob.client.post("/api/conversation/receipts", {"items": items}).data
        assert [each["readSeq"] for each in data["items"]] == [1]
        assert data["refused"] == [{"conversationId": "g999999", "code": 2007}]

    @pytest.mark.parametrize("items", [None, [], [{}], [{"conversationId": "g1"}], "g1"])
    def test_refuse(self, alice: User, items: object) -> None:
        answer = alice.client.post("/api/conversation/receipts", {"items": items})
        assert (answer.status, list(answer.data["errors"])) == (400, ["items"])


def test_the_sums_tell_muted_ones_apart(
    service: Service, alice: User, bob: User, carol: User
) -> None:
    for other, count in ((bob, 2), (carol, 1)):
        for _ in range(count):
            other.sent(alice)
    service.persist()
    name = f"{alice.id}_{bob.id}"
    alice.client.post("/api/conversation/set", {"conversationId": name, "mutedForS": -1})
    assert alice.client.get("/api/conversation/unread").data == {
        "unread": 1,
        "conversations": 1,
        "muted": {"unread": 2, "conversations": 1},
        "partial": False,
    }


class TestReaders:
    def test_are_told_to_the_sender(
        self, service: Service, alice: User, bob: User, carol: User
    ) -> None:
        group_id = create(alice, bob, carol)
        message_id = str(alice.send_to_group(group_id).data["messageId"])
        service.persist()
        mark(bob, f"g{group_id}", readSeq=99)
        assert readers(alice, message_id) == {
            "readCount": 1,
            "memberCount": 2,
            "list": [{"userId": bob.id}],
            "hasMore": False,
            "nextAfter": None,
        }
        assert readers(alice, message_id, read="false")["list"] == [{"userId": carol.id}]
        answer = bob.client.get("/api/message/readers", messageId=message_id)
        assert refused(answer, 403, 3005)

    def test_show_nobody_who_shows_no_receipts(
        self, service: Service, alice: User, bob: User
    ) -> None:
        message_id = alice.sent(bob)
        service.persist()
        mark(bob, f"{alice.id}_{bob.id}", readSeq=1)
        assert only(alice)["peer"] == {"readSeq": 1, "deliveredSeq": 1}
        assert readers(alice, message_id)["list"] == [{"userId": bob.id}]
        bob.client.post("/api/user/me", {"showsReceipts": False})
        assert only(alice)["peer"] is None
        assert readers(alice, message_id)["memberCount"] == 0
        alice.client.post("/api/user/me", {"showsReceipts": False})
        answer = alice.client.get("/api/message/readers", messageId=message_id)
        assert refused(answer, 403, 4003)

    def test_show_nothing_from_before_receipts_were_shown_again(
        self, service: Service, alice: User, bob: User
    ) -> None:
        first, second = alice.sent(bob), alice.sent(bob)
        service.persist()
        chat = f"{alice.id}_{bob.id}"
        bob.client.post("/api/user/me", {"showsReceipts": False})
        mark(bob, chat, readSeq=1)
        bob.client.post("/api/user/me", {"showsReceipts": True})
        assert only(alice)["peer"] is None
        answer = readers(alice, first)
        assert (answer["readCount"], answer["memberCount"]) == (0, 1)
        mark(bob, chat, readSeq=2)  # a position is one number: all before it is shown
        bob.client.post("/api/user/me", {"showsReceipts": True})
        assert only(alice)["peer"] == {"readSeq": 2, "deliveredSeq": 2}
        for message_id in (first, second):
            assert readers(alice, message_id)["list"] == [{"userId": bob.id}]
