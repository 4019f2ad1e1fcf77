"""Directory over Django's users and the group tables, cached in this process for seconds.

Built by `wiring`; used by the use cases and the doors, on one event loop. What it tells may be as
old as the lifetimes below. It changes nothing.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Generic, TypeVar

from django.contrib.auth import get_user_model
from django.db.backends.base.base import BaseDatabaseWrapper
from django.db.models import Exists, OuterRef

from messaging.conf import Settings
from messaging.database_threads import DatabaseThreads
from messaging.errors import StoreUnavailable
from messaging.models import ChatGroup, ChatGroupMember

logger = logging.getLogger(__name__)

MEMBERSHIP_TTL_S = 5.0  # so long may somebody write to a group who was just removed from it
NEGATIVE_TTL_S = 1.0  # so long may somebody be unknown who was just added
MAX_ENTRIES = 50_000  # of users, and as many of members; about 10 MB each
LOOKUP_TIMEOUT_S = 0.5  # past it the database counts as away
AWAY_S = 1.0  # and is not asked again for so long
THREADS = 2

Key = TypeVar("Key")
Value = TypeVar("Value")


@dataclass(frozen=True, slots=True)
class _Known(Generic[Value]):
    value: Value
    fresh_until_s: float


class DatabaseDirectory:
    """`ports.Directory`. With the database away, the last known answer serves until it is back."""

    def __init__(
        self, settings: Settings, *, monotonic_s: Callable[[], float] = time.monotonic
    ) -> None:
        self._identity_ttl_s = settings.identity_ttl_s
        self._monotonic_s = monotonic_s
        self._threads = DatabaseThreads(
            name="directory",
            threads=THREADS,
            timeout_s=min(LOOKUP_TIMEOUT_S, settings.store_timeout_s),
        )
        self._users: dict[int, _Known[bool | None]] = {}
        self._members: dict[tuple[int, int], _Known[bool | None]] = {}
        self._away_until_s = 0.0

    async def user_exists(self, user_id: int) -> bool:
        return await self._user(user_id) is not None

    async def user_is_active(self, user_id: int) -> bool:
        return await self._user(user_id) is True

    async def is_member(self, group_id: int, user_id: int) -> bool | None:
        def look(connection: BaseDatabaseWrapper) -> bool | None:
            return _find_member(connection, group_id, user_id)

        return await self._know(self._members, (group_id, user_id), look, ttl_s=MEMBERSHIP_TTL_S)

    async def close(self) -> None:
        await self._threads.close()

    async def _user(self, user_id: int) -> bool | None:
        """Whether the user is active; None: no such user."""

        def look(connection: BaseDatabaseWrapper) -> bool | None:
            return _find_user(connection, user_id)

        try:
            return await self._know(self._users, user_id, look, ttl_s=self._identity_ttl_s)
        except StoreUnavailable:
            return True

    async def _know(
        self,
        known: dict[Key, _Known[bool | None]],
        key: Key,
        look: Callable[[BaseDatabaseWrapper], bool | None],
        *,
        ttl_s: float,
    ) -> bool | None:
        """The cached answer while it is fresh, else the database's, else the last known one."""
        entry = known.get(key)
        if entry is not None and self._monotonic_s() < entry.fresh_until_s:
            return entry.value
        asked_at_s = self._monotonic_s()
        try:
            value = await self._ask(look)
        except StoreUnavailable:
            if entry is None:
                raise
            return entry.value
        known.pop(key, None)  # so that the oldest answer is the first in the dictionary
        known[key] = _Known(value, asked_at_s + (ttl_s if value else min(ttl_s, NEGATIVE_TTL_S)))
        if len(known) > MAX_ENTRIES:
            del known[next(iter(known))]
        return value

    async def _ask(self, look: Callable[[BaseDatabaseWrapper], Value]) -> Value:
        if self._monotonic_s() < self._away_until_s:
            raise StoreUnavailable("the database was away a moment ago")
        try:
            return await self._threads.run(look)
        except StoreUnavailable:
            self._away_until_s = self._monotonic_s() + AWAY_S
            logger.warning("database away", extra={"action": "directory.away"})
            raise


def _find_user(connection: BaseDatabaseWrapper, user_id: int) -> bool | None:
    users = get_user_model().objects.using(connection.alias).filter(pk=user_id)
    return next(iter(users.values_list("is_active", flat=True)), None)


def _find_member(connection: BaseDatabaseWrapper, group_id: int, user_id: int) -> bool | None:
    membership = ChatGroupMember.objects.filter(group_id=OuterRef("pk"), user_id=user_id)
    groups = ChatGroup.objects.using(connection.alias).filter(pk=group_id)
    found = groups.annotate(is_member=Exists(membership)).values_list("is_member", flat=True)
    return next(iter(found), None)
