"""Insert groups as rows: with an owner, members, their number and their participants.

No call of the API is made, so that a group may have any size, and no notice is sent.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from django.db import transaction

from messaging.domain.groups import Role
from messaging.domain.ids import group_conversation
from messaging.models import ChatGroup, ChatGroupMember, Participant

BATCH = 500
CHUNK = 5_000  # members of one transaction, so that other writers wait for a moment at most

Told = Callable[[int], None]


def insert_group(
    name: str, members: Sequence[int], *, mode: str | None = None, tell: Told | None = None
) -> int:
    """Insert a group of these users, the first of whom owns the group, and return its id.

    `mode`: pins the way of storing; None leaves the mode to the settings.
    `tell`: called with the number of members so far, after each chunk.
    """
    owner_id = next(iter(members), None)
    group = ChatGroup.objects.create(
        name=name, mode=mode, member_count=len(members), creator_id=owner_id
    )
    for start in range(0, len(members), CHUNK):
        chunk = members[start : start + CHUNK]
        insert_members([(group.pk, user_id) for user_id in chunk], owners={(group.pk, owner_id)})
        if tell is not None:
            tell(start + len(chunk))
    return group.pk


def insert_groups(name: str, casts: Sequence[Sequence[int]], *, mode: str | None) -> list[int]:
    """Insert a group for each cast of users, whose first user is the owner; return the ids.

    Requires that no other group bears the name.
    """
    ChatGroup.objects.bulk_create(
        [
            ChatGroup(name=name, mode=mode, member_count=len(cast), creator_id=cast[0])
            for cast in casts
        ],
        batch_size=BATCH,
    )
    ids = list(ChatGroup.objects.filter(name=name).order_by("id").values_list("id", flat=True))
    pairs = list(zip(ids, casts, strict=True))
    insert_members(
        [(group_id, user_id) for group_id, cast in pairs for user_id in cast],
        owners={(group_id, cast[0]) for group_id, cast in pairs},
    )
    return ids


@transaction.atomic
def insert_members(
    pairs: Sequence[tuple[int, int]], *, owners: set[tuple[int, int | None]]
) -> None:
    """Insert a member and a participant for each pair of a group and a user."""
    ChatGroupMember.objects.bulk_create(
        [
            ChatGroupMember(
                group_id=group_id,
                user_id=user_id,
                role=(Role.OWNER if (group_id, user_id) in owners else Role.MEMBER).value,
            )
            for group_id, user_id in pairs
        ],
        batch_size=BATCH,
    )
    Participant.objects.bulk_create(
        [
            Participant(user_id=user_id, conversation_id=group_conversation(group_id))
            for group_id, user_id in pairs
        ],
        batch_size=BATCH,
    )
