"""Know groups and their members, each answer for a while.

Called by the directory, on one event loop. A group of up to `MEMBERS_HELD` members is known whole,
after one statement. A user is asked about alone in a larger group, after a change of the user's
membership, and after a doubt. So is an outsider of a whole group, whose answer is fresh for a
shorter time than the group: outsiders must not make a process read the whole group each second.
"""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Awaitable, Callable
from dataclasses import replace
from functools import partial
from typing import Protocol, TypeVar

from django.db.backends.base.base import BaseDatabaseWrapper

from messaging.directory.group_answers import (
    Asking,
    KnownGroup,
    access_ttl_s,
    early_s,
    group_bytes,
    group_ttl_s,
    is_outside,
    is_unread,
)
from messaging.directory.queries import find_access, find_group
from messaging.directory.ttl_cache import TtlCache
from messaging.domain.backend_errors import StoreUnavailable
from messaging.ports.directory import GroupAccess

Result = TypeVar("Result")
MemberKey = tuple[int, int]  # `KnownGroup.epoch`, user


class Run(Protocol):
    """Run a job with a connection to the database.

    Raises: StoreUnavailable.
    """

    def __call__(self, job: Callable[[BaseDatabaseWrapper], Result]) -> Awaitable[Result]: ...


class KnownGroups:
    """Keep the answers about groups and members for the directory on the database."""

    def __init__(self, run: Run, *, monotonic_s: Callable[[], float]) -> None:
        self._run = run
        self._epochs = itertools.count()
        self._groups: TtlCache[int, KnownGroup | None] = TtlCache(
            group_ttl_s, monotonic_s=monotonic_s, size_of=group_bytes, is_absent=is_unread
        )
        self._members: TtlCache[MemberKey, GroupAccess | None] = TtlCache(
            access_ttl_s, monotonic_s=monotonic_s, is_absent=is_outside
        )
        self._askings: dict[MemberKey, Asking] = {}

    def known(self, group_id: int, user_id: int) -> GroupAccess | None:
        """Return the fresh answer, without a look-up; None also where there is no such group."""
        entry = self._groups.last(group_id)
        if entry is None or (group := entry.value) is None:
            return None
        if (access := group.access_of(user_id)) is None:
            kept = self._members.fresh((group.epoch, user_id))
            return None if kept is None else kept.value
        return access if self._groups.is_fresh(entry, early_s=early_s(access)) else None

    async def find(self, group_id: int, user_id: int) -> GroupAccess | None:
        """Return the fresh answer, or look up; in an outage return the last known answer.

        Raises: StoreUnavailable.
        """
        if (access := self.known(group_id, user_id)) is not None:
            return access
        try:
            return await self._find(group_id, user_id)
        except StoreUnavailable as error:
            last = self._last(group_id, user_id)
            if last is None or not error.is_outage:
                raise
            return last[0]

    async def ask(self, group_id: int, user_id: int, *, after: int) -> GroupAccess | None:
        """Look up, unless a fresh answer was asked for after this score (above 0) of the guard.

        A look-up is shared that will begin, or that was asked after such a score. Any other one
        that is under way may have read the database before the doubt, so its result is not kept.

        Raises: StoreUnavailable.
        """
        epoch = self._noted_group(group_id).epoch
        key = (epoch, user_id)
        kept = self._members.fresh(key)
        if kept is not None and kept.value is not None and 0 < after <= kept.value.asked_after:
            return kept.value
        self._groups.overtake(group_id)
        asking = self._askings.get(key)
        if asking is None or not asking.serves(after):
            asking = self._askings[key] = Asking(after)
            query = partial(self._read_member, group_id, key, asking)
            asking.task = self._members.look_up_anew(key, query)
        else:
            asking.after = max(asking.after, after)
        assert asking.task is not None
        return await asyncio.shield(asking.task)

    def forget_member(self, group_id: int, user_id: int) -> None:
        """Drop what is known of the user's membership, and do not keep what is on its way."""
        self._groups.overtake(group_id)
        entry = self._groups.last(group_id)
        if entry is None:
            return
        if (group := entry.value) is None:
            self._groups.invalidate(group_id)
        else:
            key = (group.epoch, user_id)
            group.set_apart(user_id)
            self._askings.pop(key, None)
            self._members.invalidate(key)

    def forget_group(self, group_id: int) -> None:
        """Drop what is known of the group and all its members."""
        self._groups.invalidate(group_id)

    def forget_all(self) -> None:
        self._groups.invalidate_all()

    def expire_all(self) -> None:
        self._groups.expire_all()
        self._members.expire_all()

    async def close(self) -> None:
        await self._groups.close()
        await self._members.close()

    async def _find(self, group_id: int, user_id: int) -> GroupAccess | None:
        kept = self._groups.fresh(group_id)
        if kept is not None:
            group, access = kept.value, None  # too old an answer for an outsider
        else:
            group = await self._groups.find(group_id, partial(self._read_group, group_id))
            access = None if group is None else group.access_of(user_id)
        if group is None or access is not None:
            return access
        key = (group.epoch, user_id)
        return await self._members.find(key, partial(self._read_member, group_id, key))

    def _last(self, group_id: int, user_id: int) -> tuple[GroupAccess | None] | None:
        """Return the last known answer, however old, or None where nothing is known."""
        entry = self._groups.last(group_id)
        if entry is None:
            return None
        if (group := entry.value) is None:
            return (None,)
        if (access := group.access_of(user_id)) is not None:
            return (access,)
        kept = self._members.last((group.epoch, user_id))
        return None if kept is None else (kept.value,)

    def _noted_group(self, group_id: int) -> KnownGroup:
        """Return what is known of the group, with an epoch for answers about single users."""
        entry = self._groups.last(group_id)
        if entry is not None and entry.value is not None:
            return entry.value
        group = KnownGroup(next(self._epochs))
        self._groups.note(group_id, group)
        return group

    async def _read_group(self, group_id: int) -> KnownGroup | None:
        found = await self._run(lambda connection: find_group(connection, group_id))
        if found is None:
            return None
        last = self._groups.last(group_id)
        if found.members is None and last is not None and last.value is not None:
            return KnownGroup(last.value.epoch, found.group)
        # The members are newer than every answer about one of them.
        return KnownGroup(next(self._epochs), found.group, found.members)

    async def _read_member(
        self, group_id: int, key: MemberKey, asking: Asking | None = None
    ) -> GroupAccess | None:
        epoch, user_id = key

        def job(connection: BaseDatabaseWrapper) -> GroupAccess | None:
            if asking is not None:
                asking.has_begun = True
            return find_access(connection, group_id, user_id)

        try:
            access = await self._run(job)
        finally:
            if self._askings.get(key) is asking:
                self._askings.pop(key, None)
        last = self._groups.last(group_id)
        if last is not None and last.value is not None and last.value.epoch == epoch:
            last.value.set_apart(user_id)
            if access is not None and access.group == last.value.group:
                access = replace(access, group=last.value.group)  # one copy for all members
        if access is None or asking is None:
            return access
        return replace(access, asked_after=asking.after)
