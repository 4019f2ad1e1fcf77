"""Read a group, its members and its requests to join, as far as a reader may.

Raises: TooManyRequests, at once, for a user who reads too much; TemporarilyUnavailable while the
database is away.
"""

from __future__ import annotations

from collections.abc import Awaitable, Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar

from messaging.domain.backend_errors import StoreUnavailable
from messaging.domain.errors import GroupNotFound, NotAMember, RoleTooLow, TemporarilyUnavailable
from messaging.domain.group_requests import MembersRequest, RequestsRequest
from messaging.domain.groups import JoinMode, Member, Role
from messaging.ports.groups import GroupView, JoinRequest
from messaging.service.backends import Backends

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class GroupPage(Generic[T]):
    items: Sequence[T]
    has_more: bool

    @classmethod
    def of(cls, found: Sequence[T], size: int) -> GroupPage[T]:
        """Return a page of `size` items; one item more tells that there are more."""
        return cls(found[:size], len(found) > size)


async def view_group(backends: Backends, group_id: int, *, reader_id: int) -> GroupView:
    """Return a group as this user may see it.

    Raises: GroupNotFound, alike for a user outside of a group that one comes into by invitation
    alone, and for a banned one.
    """
    backends.rates.reads.spend(reader_id)
    view = await _asked(backends.groups.find_group(group_id, reader_id))
    if view is None:
        raise GroupNotFound
    is_hidden = view.is_banned or view.group.join_mode is JoinMode.INVITE
    if view.member is None and is_hidden:
        raise GroupNotFound
    return view


async def list_members(
    backends: Backends, wanted: MembersRequest, *, reader_id: int
) -> GroupPage[Member]:
    """Return a page of members.

    Raises: GroupNotFound, NotAMember.
    """
    backends.rates.reads.spend(reader_id)
    found = await _asked(
        backends.groups.members(
            wanted.group_id, role=wanted.role, after=wanted.after, limit=wanted.size + 1
        )
    )
    await _own_role(backends, wanted.group_id, reader_id=reader_id)
    return GroupPage.of(found, wanted.size)


async def list_requests(
    backends: Backends, wanted: RequestsRequest, *, reader_id: int
) -> GroupPage[JoinRequest]:
    """Return a page of the requests to join.

    Raises: GroupNotFound, NotAMember, RoleTooLow.
    """
    backends.rates.reads.spend(reader_id)
    found = await _asked(
        backends.groups.join_requests(wanted.group_id, after=wanted.after, limit=wanted.size + 1)
    )
    role = await _own_role(backends, wanted.group_id, reader_id=reader_id)
    if Role.ADMIN.is_above(role):
        raise RoleTooLow
    return GroupPage.of(found, wanted.size)


async def _own_role(backends: Backends, group_id: int, *, reader_id: int) -> Role:
    """Return the reader's role in a group.

    Order: ask after the rows that an answer gives were read. A role that was taken away before then
    gives nothing.

    Raises: GroupNotFound, NotAMember.
    """
    view = await _asked(backends.groups.find_group(group_id, reader_id))
    if view is None:
        raise GroupNotFound
    if view.member is None:
        raise NotAMember
    return view.member.role


async def _asked(answer: Awaitable[T]) -> T:
    try:
        return await answer
    except StoreUnavailable as error:
        raise TemporarilyUnavailable from error
