"""Make the accounts of a run: in bulk, in pairs that write to each other, each with a token."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from django.contrib.auth.hashers import make_password
from django.contrib.auth.models import User
from rest_framework_simplejwt.tokens import AccessToken

from bench.laps.group_rows import BATCH, CHUNK, Told, insert_group, insert_groups
from bench.load.receipts import MAX_SENDERS
from bench.load.traffic import Account
from messaging.domain.message import ChatType

CROWD_INDEX = MAX_SENDERS // 2  # above the indices of the pairs, and of the pairs in their groups
FRIENDS_INDEX = CROWD_INDEX + MAX_SENDERS // 4


def make_pairs(run: str, count: int) -> list[Account]:
    """Make `count` new users, an even number, each writing to the other of the pair.

    The users are named `bench-<run>-<n>`, and none of them can log in.
    """
    prefix = f"bench-{run}-"
    password = make_password(None)
    users = [User(username=f"{prefix}{n}", password=password) for n in range(count)]
    User.objects.bulk_create(users, batch_size=BATCH)
    users = list(User.objects.filter(username__startswith=prefix).order_by("id"))
    return [
        Account(
            index=index,
            user_id=user.pk,
            token=str(AccessToken.for_user(user)),
            to=users[index ^ 1].pk,
            chat_type=ChatType.PRIVATE,
        )
        for index, user in enumerate(users)
    ]


def make_groups(run: str, pairs: Sequence[Account]) -> list[Account]:
    """Return the same users again, each pair in a new group of two that is pinned to sync mode."""
    ids = [account.user_id for account in pairs]
    casts = [ids[start : start + 2] for start in range(0, len(ids), 2)]
    groups = insert_groups(f"bench-{run}", casts, mode="sync")
    return [
        replace(
            account,
            index=len(pairs) + account.index,
            to=groups[account.index // 2],
            chat_type=ChatType.GROUP,
        )
        for account in pairs
    ]


def make_crowd(run: str, senders: Sequence[Account], size: int, *, tell: Told) -> list[Account]:
    """Return the senders again, all of them in one new group of `size`, pinned to async mode.

    Further members are users named `bench-<run>-member-<n>`, who only belong to the group.
    `tell`: called with the number of users and members made so far, of twice the size.
    """
    prefix = f"bench-{run}-member-"
    password = make_password(None)
    for start in range(len(senders), size, CHUNK):
        User.objects.bulk_create(
            [
                User(username=f"{prefix}{n}", password=password)
                for n in range(start, min(start + CHUNK, size))
            ],
            batch_size=BATCH,
        )
        tell(min(start + CHUNK, size))
    silent = User.objects.filter(username__startswith=prefix).values_list("id", flat=True)
    members = [*(account.user_id for account in senders), *silent]
    group_id = insert_group(
        f"bench-{run}-crowd", members, mode="async", tell=lambda made: tell(size + made)
    )
    return [
        replace(
            account,
            index=CROWD_INDEX + account.index,
            to=group_id,
            chat_type=ChatType.GROUP,
        )
        for account in senders
    ]


def make_friends(run: str, readers: Sequence[Account], count: int) -> list[Account]:
    """Return new users who write to each of the readers: one account a reader and friend.

    The friends are named `bench-<run>-friend-<n>`. The accounts of one friend stand together.
    """
    prefix, password = f"bench-{run}-friend-", make_password(None)
    friends = [User(username=f"{prefix}{n}", password=password) for n in range(count)]
    User.objects.bulk_create(friends, batch_size=BATCH)
    made: list[Account] = []
    for friend in User.objects.filter(username__startswith=prefix).order_by("id"):
        token = str(AccessToken.for_user(friend))
        made += [
            Account(
                index=FRIENDS_INDEX + len(made) + place,
                user_id=friend.pk,
                token=token,
                to=reader.user_id,
                chat_type=ChatType.PRIVATE,
            )
            for place, reader in enumerate(readers)
        ]
    return made
