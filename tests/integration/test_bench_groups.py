"""Test the groups that the benchmark, and the demo, insert as rows."""

from __future__ import annotations

import pytest
from django.contrib.auth.models import User
from django.core.management import call_command

from bench.laps import accounts, group_rows
from messaging.domain.message import ChatType
from messaging.models import ChatGroup, ChatGroupMember, Participant

pytestmark = pytest.mark.django_db


def assert_sound(group: ChatGroup) -> None:
    """Check that a group has one owner, and as many members as participants and as it says."""
    members = ChatGroupMember.objects.filter(group=group)
    assert members.filter(role="owner").count() == 1
    assert members.count() == group.member_count
    participants = Participant.objects.filter(conversation_id=f"g{group.pk}", is_in=True)
    assert set(participants.values_list("user_id", flat=True)) == set(
        members.values_list("user_id", flat=True)
    )


def test_pairs_have_groups_of_their_own_that_are_pinned_to_sync_mode() -> None:
    pairs = accounts.make_pairs("ab", 6)
    in_groups = accounts.make_groups("ab", pairs)
    assert [each.chat_type for each in in_groups] == [ChatType.GROUP] * 6
    assert [each.user_id for each in in_groups] == [each.user_id for each in pairs]
    groups = list(ChatGroup.objects.order_by("pk"))
    assert [each.to for each in in_groups] == [g.pk for g in groups for _ in range(2)]
    for group in groups:
        assert (group.mode, group.member_count) == ("sync", 2)
        assert_sound(group)


def test_a_crowd_is_of_the_wanted_size_and_async(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(accounts, "CHUNK", 4)
    monkeypatch.setattr(group_rows, "CHUNK", 4)
    pairs, told = accounts.make_pairs("ab", 6), list[int]()
    crowd = accounts.make_crowd("ab", pairs, 15, tell=told.append)
    group = ChatGroup.objects.get()
    assert {each.to for each in crowd} == {group.pk}
    assert [each.user_id for each in crowd] == [each.user_id for each in pairs]
    assert (group.mode, group.member_count, User.objects.count()) == ("async", 15, 15)
    assert_sound(group)
    assert ChatGroupMember.objects.get(role="owner").user_id == pairs[0].user_id
    assert told == [10, 14, 15, 19, 23, 27, 30]
    indices = [each.index for each in (*pairs, *accounts.make_groups("ab", pairs), *crowd)]
    assert len(set(indices)) == len(indices)


def test_a_small_crowd_has_no_further_members() -> None:
    pairs = accounts.make_pairs("ab", 6)
    crowd = accounts.make_crowd("ab", pairs[:4], 4, tell=lambda made: None)
    assert len(crowd) == ChatGroup.objects.get().member_count == 4
    assert User.objects.count() == 6


def test_the_demo_group_is_sound(capsys: pytest.CaptureFixture[str]) -> None:
    User.objects.create(username="earlier")
    call_command("demo_tokens")
    assert "ALICE_ID=" in capsys.readouterr().out
    assert_sound(ChatGroup.objects.get())
    owner = ChatGroupMember.objects.get(role="owner")
    assert owner.user.get_username() == "alice"


def test_each_friend_writes_to_each_reader() -> None:
    readers = accounts.make_pairs("ab", 4)
    friends = accounts.make_friends("ab", readers, 3)
    assert [each.to for each in friends] == [each.user_id for each in readers] * 3
    assert len({each.user_id for each in friends}) == 3
    assert {each.user_id for each in friends}.isdisjoint(each.user_id for each in readers)
    crowd = accounts.make_crowd("ab", readers, 4, tell=lambda made: None)
    indices = [each.index for each in (*readers, *crowd, *friends)]
    assert len(set(indices)) == len(indices)
