"""Test which calls of conversations each role in a group may make, and that a refusal changes none.

A user who is out of a group is told as little of the group's conversation as a stranger.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from messaging.cache.change_feed import ChangeListener
from messaging.models import CacheArrear, ChatGroup, ChatGroupMember, Message, Participant
from tests.support.conversations import clear, wish
from tests.support.groups import act, create, done
from tests.support.http_client import Answer
from tests.support.service import Service, User, at_both_doors, refused

pytestmark = at_both_doors()

Way = Callable[[User, User, str], object]
# The way from a plain member to each role, by the owner, the user and the group.
INSIDE: dict[str, Way] = {
    "member": lambda _owner, _user, _group: None,
    "muted": lambda owner, user, group: done(owner, "mute", group, userId=user.id, forS=-1),
    "admin": lambda owner, user, group: done(owner, "role", group, userId=user.id, role="admin"),
    "owner": lambda owner, user, group: done(owner, "transfer", group, userId=user.id),
    "of a dissolved group": lambda owner, _user, group: done(owner, "dissolve", group),
}
OUTSIDE: dict[str, Way] = {
    "left": lambda _owner, user, group: done(user, "leave", group),
    "removed": lambda owner, user, group: done(owner, "remove", group, userIds=[user.id]),
    "banned": lambda owner, user, group: done(owner, "remove", group, userIds=[user.id], ban=True),
    "removed and dissolved": lambda owner, user, group: (
        done(owner, "remove", group, userIds=[user.id]),
        done(owner, "dissolve", group),
    ),
}
Call = Callable[[User, str], Answer]


def receipts(user: User, group_id: str, **seqs: object) -> Answer:
    item = {"conversationId": f"g{group_id}"} | seqs
    return user.client.post("/api/conversation/receipts", {"items": [item]})


def span(user: User, group_id: str) -> Answer:
    query = {"conversationId": f"g{group_id}", "fromSeq": 1, "toSeq": 99}
    return user.client.get("/api/conversation/messages", **query)


# The calls that name the conversation: 200 inside, and 404 with 2007 outside.
CALLS: dict[str, Call] = {
    "get": lambda user, group: user.client.get("/api/conversation", targetId=group, chatType=2),
    "messages": span,
    "mark read": lambda user, group: receipts(user, group, readSeq=2),
    "mark delivered": lambda user, group: receipts(user, group, deliveredSeq=2),
    "pin": lambda user, group: wish(user, f"g{group}", pinned=True),
    "mute": lambda user, group: wish(user, f"g{group}", mutedForS=60),
    "hide": lambda user, group: wish(user, f"g{group}", hidden=True),
    "mark unread": lambda user, group: wish(user, f"g{group}", markedUnread=True),
    "clear": lambda user, group: clear(user, f"g{group}"),
}


def said(user: User, group_id: str, content: str) -> str:
    answer = user.send_to_group(group_id, content)
    assert answer.status == 200, answer.content
    return str(answer.data["messageId"])


def ask(user: User, path: str, **query: object) -> Any:
    answer = user.client.get(path, **query)
    assert answer.status == 200, answer.content
    return answer.data


def synced(user: User, cursor: str | None = None) -> Any:
    answer = user.client.post("/api/sync", {"cursor": cursor})
    assert answer.status == 200, answer.content
    return answer.data


def listed_ids(user: User) -> list[str]:
    page = ask(user, "/api/conversation/list", includeHidden="true")
    return [each["conversationId"] for each in page["list"]]


def readers(user: User, message_id: str) -> Answer:
    return user.client.get("/api/message/readers", messageId=message_id)


def rows() -> list[list[dict[str, Any]]]:
    tables = (Participant, ChatGroup, ChatGroupMember, Message, CacheArrear)
    return [list(table._default_manager.order_by("pk").values()) for table in tables]


def place_of(user: User, group_id: str) -> dict[str, Any]:
    places = Participant.objects.filter(conversation_id=f"g{group_id}")
    return places.values().get(user_id=int(user.id))


def state(*users: User) -> tuple[Any, ...]:
    """Return the rows of the site, and what these users are told of their conversations."""
    lists = [ask(user, "/api/conversation/list", includeHidden="true") for user in users]
    sums = [ask(user, "/api/conversation/unread") for user in users]
    return rows(), lists, sums


def check_outside(owner: User, user: User, group_id: str, message_ids: list[str]) -> None:
    """Check that no call tells or changes anything of a group's conversation."""
    before = state(owner, user)
    for name, call in CALLS.items():
        assert refused(call(user, group_id), 404, 2007), name
    for message_id in message_ids:
        assert refused(readers(user, message_id), 404, 3002)
        assert refused(user.read(message_id), 404, 3002)
    assert refused(user.group_history(group_id), 403, 4002)
    assert refused(user.client.get("/api/group/members", groupId=group_id), 403, 4002)
    assert refused(act(user, "nickname", group_id, nickname="Al"), 403, 4002)
    assert listed_ids(user) == []
    sums = ask(user, "/api/conversation/unread")
    assert (sums["unread"], sums["conversations"], sums["partial"]) == (0, 0, False)
    assert all(each["left"] is not None for each in synced(user)["conversations"])
    assert state(owner, user) == before


@pytest.fixture(params=["heard", "missed"])
def hears(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Callable[[], None]:
    """Return a function after which the process hears of changes, or misses each of them."""

    def begin() -> None:
        if request.param == "missed":
            monkeypatch.setattr(ChangeListener, "take", lambda _self, _changes: None)

    return begin


def warm(user: User, group_id: str) -> None:
    """Let the process know the group, and the cache know the user's list."""
    assert CALLS["get"](user, group_id).status == 200
    assert span(user, group_id).status == 200
    assert f"g{group_id}" in listed_ids(user)
    assert user.group_history(group_id).status == 200


@pytest.mark.parametrize("role", INSIDE)
def test_who_is_in_reads_and_sets_what_is_the_users_own(
    service: Service, alice: User, bob: User, role: str, hears: Callable[[], None]
) -> None:
    group_id = create(alice, bob)
    alices, own = said(alice, group_id, "alice's"), said(bob, group_id, "bob's own")
    service.persist()
    warm(bob, group_id)
    hears()
    INSIDE[role](alice, bob, group_id)

    assert f"g{group_id}" in listed_ids(bob)
    assert ask(bob, "/api/conversation/unread")["unread"] == 1
    (told,) = synced(bob)["conversations"]
    assert {alices, own} <= {message["messageId"] for message in told["messages"]}
    assert {alices, own} <= {each["messageId"] for each in span(bob, group_id).data["list"]}
    assert readers(bob, own).status == 200
    alices_place = place_of(alice, group_id)
    before = state(alice, bob)
    assert refused(readers(bob, alices), 403, 3005)
    assert state(alice, bob) == before
    for name, call in CALLS.items():
        assert call(bob, group_id).status == 200, name

    place = place_of(bob, group_id)
    assert place["pin_time"]
    assert place["floor_id"] > int(own)
    assert place["read_seq"] >= 4
    assert synced(bob)["conversations"][0]["messages"] == []
    # The settings, marks and clears are the user's own alone.
    assert place_of(alice, group_id) == alices_place


@pytest.mark.parametrize("role", OUTSIDE)
def test_who_is_out_is_told_nothing_and_changes_nothing(
    service: Service, alice: User, bob: User, role: str, hears: Callable[[], None]
) -> None:
    group_id = create(alice, bob)
    message_ids = [said(alice, group_id, "alice's"), said(bob, group_id, "bob's own")]
    service.persist()
    message_ids.append(said(alice, group_id, "pending"))
    assert wish(bob, f"g{group_id}", pinned=True).status == 200
    warm(bob, group_id)
    cursor = synced(bob)["cursor"]
    hears()
    OUTSIDE[role](alice, bob, group_id)
    check_outside(alice, bob, group_id, message_ids)

    (told,) = synced(bob, cursor)["conversations"]
    assert told["left"] == ("left" if role == "left" else "banned" if "ban" in role else "removed")
    assert (told["messages"], told["changes"], told["pending"]) == ([], [], [])
    assert (told["lastMessage"], told["group"], told["unread"]) == (None, None, None)


@pytest.mark.parametrize("kind", ["of a group", "of a dissolved group", "of an open group"])
def test_a_stranger_is_told_nothing_and_changes_nothing(
    service: Service, alice: User, bob: User, carol: User, kind: str
) -> None:
    group_id = create(alice, bob, joinMode="open" if "open" in kind else "invite")
    message_ids = [said(alice, group_id, "alice's")]
    service.persist()
    message_ids.append(said(alice, group_id, "pending"))
    if "dissolved" in kind:
        done(alice, "dissolve", group_id)
    check_outside(alice, carol, group_id, message_ids)


def test_a_stranger_is_told_nothing_of_a_private_conversation(
    service: Service, alice: User, bob: User, carol: User
) -> None:
    message_id = alice.sent(bob)
    service.persist()
    name = f"{alice.id}_{bob.id}"
    before = state(alice, bob, carol)
    query = {"conversationId": name, "fromSeq": 1, "toSeq": 99}
    item = {"conversationId": name, "readSeq": 1}
    for answer in (
        carol.client.get("/api/conversation/messages", **query),
        carol.client.post("/api/conversation/receipts", {"items": [item]}),
        wish(carol, name, pinned=True),
        clear(carol, name),
        carol.client.get("/api/conversation", targetId=alice.id, chatType=1),
    ):
        assert refused(answer, 404, 2007)
    assert refused(readers(carol, message_id), 404, 3002)
    assert synced(carol)["conversations"] == []
    assert state(alice, bob, carol) == before
