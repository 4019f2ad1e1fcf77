"""Make the accounts of a run: in bulk, in pairs that write to each other, each with a token."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from django.contrib.auth.hashers import make_password
from django.contrib.auth.models import User
from rest_framework_simplejwt.tokens import AccessToken

from bench.load.traffic import Account
from messaging.domain.message import ChatType
from messaging.models import ChatGroup, ChatGroupMember

BATCH = 500


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
    """Return the same users again, each pair in a new group of two, writing to the group."""
    name = f"bench-{run}"
    ChatGroup.objects.bulk_create(
        [ChatGroup(name=name) for _ in pairs[::2]],
        batch_size=BATCH,
    )
    groups = list(ChatGroup.objects.filter(name=name).order_by("id"))
    accounts = [
        replace(
            account,
            index=len(pairs) + account.index,
            to=groups[account.index // 2].pk,
            chat_type=ChatType.GROUP,
        )
        for account in pairs
    ]
    ChatGroupMember.objects.bulk_create(
        [ChatGroupMember(group_id=each.to, user_id=each.user_id) for each in accounts],
        batch_size=BATCH,
    )
    return accounts
