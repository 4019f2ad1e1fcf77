"""Test what users of other services complain about, one property a test."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from messaging.cache.change_feed import ChangeListener
from messaging.models import Message
from tests.support.groups import act, create, done, events, group_seen_by, roles
from tests.support.http_client import Answer
from tests.support.service import Service, User, at_both_doors, listed, refused

pytestmark = at_both_doors()


def say(user: User, group_id: str, content: str = "hi") -> str:
    answer = user.send_to_group(group_id, content)
    assert answer.status == 200, answer.content
    return str(answer.data["messageId"])


def said(user: User, group_id: str) -> list[str]:
    """Return the texts that a member may read, oldest first."""
    page = user.group_history(group_id, size=100).data["list"]
    return [each["content"] for each in page if each["msgType"] != 9][::-1]


def reads_of(user: User, group_id: str, message_id: str) -> list[Answer]:
    return [
        user.group_history(group_id),
        user.group_history(group_id, beforeId=message_id),
        user.client.get("/api/group/members", groupId=group_id),
        user.client.get("/api/group/requests", groupId=group_id),
        user.read(message_id),
    ]


def outs(group_id: str, owner: User, member: User) -> dict[str, Callable[[], object]]:
    """Return the ways in which a member comes to be out."""
    return {
        "leave": lambda: done(member, "leave", group_id),
        "remove": lambda: done(owner, "remove", group_id, userIds=[member.id]),
        "ban": lambda: done(owner, "remove", group_id, userIds=[member.id], ban=True),
    }


@pytest.mark.parametrize("way", ["leave", "remove", "ban"])
def test_who_is_out_reads_nothing_and_writes_nothing(
    service: Service, alice: User, bob: User, way: str
) -> None:
    group_id = create(alice, bob)
    message_id = say(alice, group_id)
    service.persist()
    own = say(bob, group_id, "bob's own")
    outs(group_id, alice, bob)[way]()
    rows = Message.objects.count()
    for answer in reads_of(bob, group_id, message_id):
        assert answer.status in (403, 404), answer.content
        assert answer.data is None
    assert refused(bob.client.get(f"/api/group/{group_id}"), 404, 4001)
    assert refused(bob.send_to_group(group_id), 403, 4002)
    assert refused(bob.recall(message_id), 404, 3002)
    assert refused(bob.delete(own), 404, 3002)
    assert said(alice, group_id) == ["hi", "bob's own"]
    service.persist()
    assert Message.objects.count() - rows <= 1  # bob's own, which may have been pending


@pytest.mark.parametrize("way", ["leave", "remove", "ban"])
def test_a_process_that_missed_the_change_refuses_too(
    alice: User, bob: User, way: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    group_id = create(alice, bob)
    message_id = say(bob, group_id)
    assert bob.read(message_id).status == 200  # so that the membership is remembered
    monkeypatch.setattr(ChangeListener, "take", lambda _self, _changes: None)
    outs(group_id, alice, bob)[way]()
    assert refused(bob.send_to_group(group_id), 403, 4002)
    assert refused(bob.read(message_id), 404, 3002)
    assert refused(bob.group_history(group_id), 403, 4002)


def test_a_mute_counts_at_once_in_a_process_that_missed_it(
    alice: User, bob: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    group_id = create(alice, bob)
    say(bob, group_id)
    monkeypatch.setattr(ChangeListener, "take", lambda _self, _changes: None)
    until = done(alice, "mute", group_id, userId=bob.id, forS=60)["mutedUntil"]
    answer = bob.send_to_group(group_id)
    assert (answer.status, answer.code, answer.data) == (403, 4004, {"mutedUntil": until})
    monkeypatch.undo()
    done(alice, "mute", group_id, userId=bob.id, forS=-1)
    assert bob.send_to_group(group_id).data == {"mutedUntil": 0}
    done(alice, "mute", group_id, userId=bob.id, forS=0)
    say(bob, group_id)
    done(alice, "update", group_id, isAllMuted=True)
    assert bob.send_to_group(group_id).code == 4004
    say(alice, group_id)


def test_nobody_writes_to_a_dissolved_group_and_its_members_read_on(
    service: Service, alice: User, bob: User, carol: User
) -> None:
    group_id = create(alice, bob)
    message_id = say(alice, group_id)
    done(alice, "dissolve", group_id)
    for user in (alice, bob):
        assert refused(user.send_to_group(group_id), 409, 4007)
        assert said(user, group_id) == ["hi"]
        assert user.read(message_id).data["content"] == "hi"
        assert len(roles(user, group_id)) == 2
    assert refused(carol.group_history(group_id), 403, 4002)
    service.persist()
    assert said(bob, group_id) == ["hi"]


WAYS_IN = ["join", "invite", "answer"]


def come_in(way: str, group_id: str, owner: User, user: User) -> None:
    if way == "invite":
        done(owner, "invite", group_id, userIds=[user.id])
        return
    done(owner, "update", group_id, joinMode="open" if way == "join" else "approval")
    done(user, "join", group_id)
    if way == "answer":
        done(owner, "answer", group_id, userId=user.id, accept=True)


@pytest.mark.parametrize("way", WAYS_IN)
def test_a_new_member_sees_nothing_from_before_by_no_way_in(
    service: Service, alice: User, bob: User, way: str
) -> None:
    group_id = create(alice)
    stored = say(alice, group_id, "stored before")
    service.persist()
    pending = say(alice, group_id, "pending before")
    come_in(way, group_id, alice, bob)
    say(alice, group_id, "after")
    for _ in range(2):
        page = bob.group_history(group_id).data
        assert [each["content"] for each in page["list"]] == ["after", ""]
        assert page["list"][1]["notice"]["userIds"] == [bob.id]
        assert page["total"] <= 3
        for message_id in (stored, pending):
            assert refused(bob.read(message_id), 404, 3002)
            assert refused(bob.delete(message_id), 404, 3002)
            assert bob.group_history(group_id, beforeId=message_id).data["list"] == []
        service.persist()
    assert said(alice, group_id) == ["stored before", "pending before", "after"]


def test_a_later_change_of_the_setting_opens_no_old_history(alice: User, bob: User) -> None:
    group_id = create(alice)
    before = say(alice, group_id, "before")
    come_in("invite", group_id, alice, bob)
    done(alice, "update", group_id, history="all")
    assert said(bob, group_id) == []
    assert refused(bob.read(before), 404, 3002)


def test_all_history_is_there_again_after_a_return(alice: User, bob: User) -> None:
    group_id = create(alice, bob, history="all")
    first = say(alice, group_id, "first")
    done(bob, "leave", group_id)
    say(alice, group_id, "meanwhile")
    come_in("invite", group_id, alice, bob)
    assert said(bob, group_id) == ["first", "meanwhile"]
    assert bob.read(first).status == 200


def test_a_return_where_history_is_hidden_shows_what_follows_alone(alice: User, bob: User) -> None:
    group_id = create(alice, bob)
    say(alice, group_id, "first")
    done(bob, "leave", group_id)
    come_in("invite", group_id, alice, bob)
    say(alice, group_id, "later")
    assert said(bob, group_id) == ["later"]


def test_a_group_is_never_without_its_owner(alice: User, bob: User) -> None:
    group_id = create(alice, bob)
    assert refused(act(alice, "leave", group_id), 409, 4006)
    assert roles(bob, group_id)[alice.id] == "owner"
    done(alice, "transfer", group_id, userId=bob.id)
    done(alice, "leave", group_id)
    assert roles(bob, group_id) == {bob.id: "owner"}


def test_nobody_adds_who_does_not_want_to_be_added(alice: User, bob: User, carol: User) -> None:
    bob.client.post("/api/user/me", {"invitesFrom": "nobody"})
    carol.block(alice)
    group_id = create(alice, joinMode="open")
    data = done(alice, "invite", group_id, userIds=[bob.id, carol.id])
    assert data["added"] == []
    assert [each["code"] for each in data["refused"]] == [4008, 2005]
    assert events(alice, group_id) == ["created"]
    assert group_seen_by(alice, group_id)["memberCount"] == 1
    done(bob, "join", group_id)  # the own wish is another matter


def test_a_notice_is_nobodys_to_recall_and_anybodys_to_hide(alice: User, bob: User) -> None:
    group_id = create(alice, bob)
    notice_id = listed(bob.group_history(group_id))[0]
    for user in (alice, bob):
        assert refused(user.recall(notice_id), 403, 3005)
    assert bob.delete(notice_id).status == 200
    assert notice_id not in listed(bob.group_history(group_id))
    assert notice_id in listed(alice.group_history(group_id))


def test_a_message_recalled_by_an_administrator_says_by_whom(alice: User, bob: User) -> None:
    group_id = create(alice, bob)
    bobs, alices = say(bob, group_id), say(alice, group_id)
    assert bob.read(bobs).data["recalledBy"] is None
    assert alice.recall(bobs).status == 200
    assert alice.recall(alices).status == 200
    for message_id in (bobs, alices):
        shown = bob.read(message_id).data
        assert (shown["status"], shown["recalledBy"]) == ("RECALLED", alice.id)
    assert refused(bob.recall(say(alice, group_id)), 403, 3005)
