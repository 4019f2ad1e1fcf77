"""Implement Directory over Django's users, the group tables and the blocks, with a cache.

Built by `runtime`; used by the use cases and the doors, on one event loop. The cache is in this
process. An answer may be as old as the lifetimes below when no change was announced. The directory
changes nothing in the database.
"""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable
from dataclasses import replace
from typing import TypeVar

from messaging.conf import Settings
from messaging.database.threads import DatabaseThreads
from messaging.directory.group_answers import NEGATIVE_TTL_S
from messaging.directory.known_groups import KnownGroups
from messaging.directory.queries import (
    BLOCKS_HELD,
    Person,
    find_block,
    find_person,
)
from messaging.directory.ttl_cache import TtlCache
from messaging.domain.backend_errors import StoreUnavailable
from messaging.domain.changes import (
    AnythingChanged,
    BlockChanged,
    Change,
    GroupChanged,
    MemberChanged,
    TokensEnded,
    UserChanged,
)
from messaging.domain.conversations import NEVER
from messaging.ports.directory import GroupAccess, TokenMark

LOOKUP_TIMEOUT_S = 0.3  # with a probe of the server, a send is still answered within a second
BLOCK_BYTES = 120  # of each user blocked, in a set
THREADS = 2
ANYBODY = Person(is_active=True, blocked=frozenset())

Value = TypeVar("Value")


class DatabaseDirectory:
    """Implement `ports.directory.Directory`, and bridge a database outage with the last answers.

    While the database is away, the last known answer serves, however old. A user without such an
    answer counts as active and as blocking nobody. While the database is busy, only a known refusal
    serves in place of an answer: a user who may not act, or a block.

    Raises: StoreUnavailable for a membership that was never known, and for any other question while
    the database is busy.
    """

    def __init__(
        self, settings: Settings, *, monotonic_s: Callable[[], float] = time.monotonic
    ) -> None:
        self._identity_ttl_s = settings.identity_ttl_s
        self._threads = DatabaseThreads(
            name="directory",
            threads=THREADS,
            timeout_s=min(LOOKUP_TIMEOUT_S, settings.store_timeout_s),
        )
        self._people: TtlCache[int, Person | None] = TtlCache(
            self._person_ttl_s, monotonic_s=monotonic_s, size_of=_size_of
        )
        self._groups = KnownGroups(self._threads.run, monotonic_s=monotonic_s)
        self._blocks: TtlCache[tuple[int, int], bool] = TtlCache(
            lambda _: self._identity_ttl_s, monotonic_s=monotonic_s
        )

    # answers from the cache alone

    def known_active(self, user_id: int, mark: TokenMark | None = None) -> bool | None:
        answer = self._people.fresh(user_id)
        return None if answer is None else answer.value is not None and answer.value.may_act(mark)

    def known_access(self, group_id: int, user_id: int) -> GroupAccess | None:
        return self._groups.known(group_id, user_id)

    def known_blocked(self, blocker_id: int, blocked_id: int) -> bool | None:
        answer = self._people.fresh(blocker_id)
        if answer is None or answer.value is None:
            return None
        if (blocked := answer.value.blocked) is not None:
            return blocked_id in blocked
        pair = self._blocks.fresh((blocker_id, blocked_id))
        return None if pair is None else pair.value

    def known_receipts_from(self, user_id: int) -> int | None:
        answer = self._people.fresh(user_id)
        return None if answer is None else _receipts_from(answer.value)

    # answers that may need the database

    async def user_exists(self, user_id: int) -> bool:
        return await self._person(user_id) is not None

    async def user_is_active(self, user_id: int, mark: TokenMark | None = None) -> bool:
        try:
            person = await self._person(user_id)
        except StoreUnavailable:
            if self._last_person(user_id).may_act(mark):
                raise
            return False
        return person is not None and person.may_act(mark)

    async def is_blocked(self, blocker_id: int, blocked_id: int) -> bool:
        try:
            person = await self._person(blocker_id)
            if person is None:
                return False
            if person.blocked is not None:
                return blocked_id in person.blocked
            return await self._blocks.find(
                (blocker_id, blocked_id), self._query(find_block, blocker_id, blocked_id)
            )
        except StoreUnavailable as error:
            was_blocked = self._was_blocked(blocker_id, blocked_id)
            if not was_blocked and not error.is_outage:
                raise
            return was_blocked

    async def receipts_from(self, user_id: int) -> int:
        try:
            person = await self._people.find(user_id, self._query(find_person, user_id))
        except StoreUnavailable as error:
            last = self._people.last(user_id)
            if last is None or not error.is_outage:
                raise
            person = last.value
        return _receipts_from(person)

    async def group_access(self, group_id: int, user_id: int) -> GroupAccess | None:
        return await self._groups.find(group_id, user_id)

    async def ask_access(self, group_id: int, user_id: int, *, after: int) -> GroupAccess | None:
        return await self._groups.ask(group_id, user_id, after=after)

    # changes, and the end

    def invalidate(self, change: Change) -> None:
        """Doubt the answers that the change is about: the next question asks the database again.

        An answer about a group or a member is dropped, and does not serve in an outage either.

        Leaves: a refusal that the change tells of, as the last answer while the database is away
        or busy.
        """
        match change:
            case UserChanged(user_id, is_locked_out):
                self._people.expire(user_id)
                if is_locked_out:
                    person = replace(self._last_person(user_id), is_active=False)
                    self._people.note(user_id, person)
            case TokensEnded(user_id, generation, ended):
                self._people.expire(user_id)
                person = self._last_person(user_id).without_tokens(generation, ended)
                self._people.note(user_id, person)
            case MemberChanged(group_id, user_id):
                self._groups.forget_member(group_id, user_id)
            case GroupChanged(group_id):
                self._groups.forget_group(group_id)
            case BlockChanged(blocker_id, blocked_id, is_blocked):
                self._people.expire(blocker_id)
                self._blocks.expire((blocker_id, blocked_id))
                if is_blocked:
                    self._note_block(blocker_id, blocked_id)
            case AnythingChanged():
                self._groups.forget_all()
                self.expire_all()

    def expire_all(self) -> None:
        """Expire every answer, because changes may have been missed."""
        for known in (self._people, self._groups, self._blocks):
            known.expire_all()

    def forget_groups(self) -> None:
        self._groups.forget_all()

    async def close(self) -> None:
        for known in (self._people, self._groups, self._blocks):
            await known.close()
        await self._threads.close()

    async def _person(self, user_id: int) -> Person | None:
        """Return the user, or None where there is no such user.

        During an outage return the last answer, or `ANYBODY` where there is none.
        Raises: StoreUnavailable for a failure that is no outage.
        """
        try:
            return await self._people.find(user_id, self._query(find_person, user_id))
        except StoreUnavailable as error:
            if not error.is_outage:
                raise
            last = self._people.last(user_id)
            return ANYBODY if last is None else last.value

    def _last_person(self, user_id: int) -> Person:
        last = self._people.last(user_id)
        return ANYBODY if last is None or last.value is None else last.value

    def _was_blocked(self, blocker_id: int, blocked_id: int) -> bool:
        blocked = self._last_person(blocker_id).blocked
        if blocked is not None:
            return blocked_id in blocked
        last = self._blocks.last((blocker_id, blocked_id))
        return last is not None and last.value

    def _note_block(self, blocker_id: int, blocked_id: int) -> None:
        person = self._last_person(blocker_id)
        blocked = (person.blocked or frozenset()) | {blocked_id}
        if person.blocked is None or len(blocked) > BLOCKS_HELD:
            for each in blocked:
                self._blocks.note((blocker_id, each), True)
            self._people.note(blocker_id, replace(person, blocked=None))
        else:
            self._people.note(blocker_id, replace(person, blocked=blocked))

    def _person_ttl_s(self, person: Person | None) -> float:
        is_active = person is not None and person.is_active
        return self._identity_ttl_s if is_active else min(self._identity_ttl_s, NEGATIVE_TTL_S)

    def _query(self, find: Callable[..., Value], *ids: int) -> Callable[[], Awaitable[Value]]:
        return lambda: self._threads.run(lambda connection: find(connection, *ids))


def _receipts_from(person: Person | None) -> int:
    return NEVER if person is None else person.receipts_from


def _size_of(person: Person | None) -> int:
    return 0 if person is None or person.blocked is None else BLOCK_BYTES * len(person.blocked)
