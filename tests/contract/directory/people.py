"""Put into a database the people whom the tests of the directory ask about."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import AsyncIterator, Awaitable, Callable
from datetime import UTC, datetime

import pytest
from django.contrib.auth import get_user_model

from messaging.conf import settings
from messaging.database.threads import DatabaseThreads
from messaging.domain.groups import Group
from messaging.models import ChatGroup, ChatGroupMember, Profile, UserBlock, UserTokens
from messaging.ports.directory import Directory

MEMBER, STRANGER, LOCKED_OUT, NOBODY = 1, 2, 3, 4
GROUP, NO_GROUP = 7, 8
GENERATION = 3
SHOWN_FROM = 1_700_000_000_000
CREATED = datetime(2026, 7, 1, tzinfo=UTC)
NEW = Group(id=GROUP, name="a group", create_time=int(CREATED.timestamp() * 1000))
ON_DATABASE = pytest.mark.django_db(transaction=True)
IDENTITY_TTL_S = settings().identity_ttl_s
Write = Callable[[Callable[[], object]], Awaitable[None]]
Begin = Callable[[], None]
Start = Callable[[], Awaitable[None]]
Stall = Callable[[], contextlib.AbstractContextManager[threading.Event]]


class DirectoryClock:
    now_s = 1_000.0

    def __call__(self) -> float:
        return self.now_s


def add_user(user_id: int, *, is_active: bool = True) -> None:
    get_user_model().objects.create(pk=user_id, username=f"u{user_id}", is_active=is_active)


def block(blocker_id: int, blocked_id: int) -> None:
    UserBlock.objects.create(blocker_id=blocker_id, blocked_id=blocked_id)


async def is_member(directory: Directory, group_id: int, user_id: int) -> bool | None:
    """Tell whether the user is a member of the group; None where there is no such group."""
    access = await directory.group_access(group_id, user_id)
    return None if access is None else access.member is not None


def known_member(directory: Directory, group_id: int, user_id: int) -> bool | None:
    """Tell whether the user is known as a member; None where that is not known."""
    access = directory.known_access(group_id, user_id)
    return None if access is None else access.member is not None


def populate() -> None:
    add_user(MEMBER)
    add_user(STRANGER)
    add_user(LOCKED_OUT, is_active=False)
    group = ChatGroup.objects.create(pk=GROUP, name="a group")
    ChatGroup.objects.filter(pk=GROUP).update(created_at=CREATED)  # `create` sets the time itself
    ChatGroupMember.objects.create(group=group, user_id=MEMBER)
    block(MEMBER, STRANGER)
    Profile.objects.create(user_id=STRANGER, shows_receipts=False, receipts_from=SHOWN_FROM)
    Profile.objects.create(user_id=LOCKED_OUT, receipts_from=SHOWN_FROM)
    UserTokens.objects.create(user_id=STRANGER, generation=GENERATION, ended={"ended": 1})


@contextlib.asynccontextmanager
async def writing() -> AsyncIterator[Write]:
    """Yield a function that runs a write in a thread where Django allows it; some users exist."""
    threads = DatabaseThreads(name="people", threads=1, timeout_s=5)

    async def write(job: Callable[[], object]) -> None:
        await threads.run(lambda _: job())

    await write(populate)
    yield write
    await threads.close()
