"""Check that the directory's statements about groups read no more than they return."""

from __future__ import annotations

import pytest
from django.contrib.auth import get_user_model
from django.db import connection

from messaging.directory.queries import MEMBERS_HELD, find_access, find_group
from messaging.models import ChatGroup, ChatGroupMember, Participant
from tests.integration.database_work import work

pytestmark = pytest.mark.django_db
WHOLE, LARGE, LARGE_MEMBERS = 7, 8, 5_000
READS_OF_A_MEMBER = 4  # an index's entry, the member, the participant's key and row


@pytest.fixture(autouse=True)
def groups() -> None:
    """Put the users with ids up to 1,000 into one group, and up to 5,000 into another."""
    users = get_user_model()
    ids = range(1, LARGE_MEMBERS + 1)
    users.objects.bulk_create(users(pk=n, username=f"u{n}") for n in ids)
    for group_id, count in ((WHOLE, MEMBERS_HELD), (LARGE, LARGE_MEMBERS)):
        ChatGroup.objects.create(pk=group_id, name="a group")
        members = ids[:count]
        ChatGroupMember.objects.bulk_create(
            ChatGroupMember(group_id=group_id, user_id=n) for n in members
        )
        Participant.objects.bulk_create(
            Participant(user_id=n, conversation_id=f"g{group_id}", floor_id=n) for n in members
        )


def reads(group_id: int) -> int:
    with work() as read:
        find_group(connection, group_id)
    return read[0]


def test_a_group_is_read_by_its_members() -> None:
    found = find_group(connection, WHOLE)
    assert found is not None
    assert found.members is not None
    assert {n: member.floor_id for n, member in found.members.items()} == {
        n: n for n in range(1, MEMBERS_HELD + 1)
    }
    whole = reads(WHOLE)
    if connection.vendor == "mysql":
        assert whole <= READS_OF_A_MEMBER * MEMBERS_HELD + 20


def test_a_larger_group_is_read_up_to_the_bound() -> None:
    found = find_group(connection, LARGE)
    assert found is not None
    assert found.members is None
    assert reads(LARGE) <= 1.1 * reads(WHOLE)


def test_one_member_is_found_by_the_key() -> None:
    for group_id, count in ((WHOLE, MEMBERS_HELD), (LARGE, LARGE_MEMBERS)):
        for user_id in (1, count, LARGE_MEMBERS + 1):
            with work() as read:
                access = find_access(connection, group_id, user_id)
            assert access is not None
            assert (access.member is not None) is (user_id <= count)
            assert read[0] <= (20 if connection.vendor == "mysql" else 500)
