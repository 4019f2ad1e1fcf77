"""Decide whether a user may send to a conversation now, and how fast. Used by `send` alone."""

from __future__ import annotations

from dataclasses import dataclass

from messaging.domain.backend_errors import CacheUnavailable
from messaging.domain.errors import (
    GroupDissolved,
    MutedInGroup,
    NotAMember,
    RightsDoubted,
    TooManyRequests,
)
from messaging.domain.groups import FOR_GOOD, Role
from messaging.domain.message import Message
from messaging.ports.cached import SharedRate
from messaging.ports.directory import GroupAccess
from messaging.service.backends import Backends


@dataclass(frozen=True, slots=True)
class SendRight:
    """Hold a sender's right to send to a conversation, as far as this process knows.

    `asked_after`, `past_cache`: as in `QueuedSend`. `mode`: of the group; None: the settings'.
    """

    asked_after: int | None = None
    past_cache: bool = False
    mode: str | None = None


def right_to_send(access: GroupAccess, *, now_ms: int, past_cache: bool = False) -> SendRight:
    """Return the right to send to a group.

    `past_cache`: the database was asked for the access, because the cache is away.

    Raises: NotAMember; GroupDissolved; MutedInGroup, for good where all members are muted.
    """
    group, member = access.group, access.member
    if member is None:
        raise NotAMember
    if group.is_dissolved:
        raise GroupDissolved
    if member.is_muted(now_ms):
        raise MutedInGroup(0 if member.muted_until == FOR_GOOD else member.muted_until)
    if group.is_all_muted and member.role is Role.MEMBER:
        raise MutedInGroup(0)
    return SendRight(access.asked_after, past_cache, group.mode)


async def judge(backends: Backends, message: Message, right: SendRight) -> None:
    """Let the guard judge a group's message that does not go through the acceptor.

    Raises: RightsDoubted, also while the cache is away, unless the database was asked.
    """
    if right.asked_after is None:
        return
    try:
        guarded = await backends.cache.judge(message, asked_after=right.asked_after)
    except CacheUnavailable as error:
        if not right.past_cache:
            raise RightsDoubted from error
        return
    if guarded is not None:
        raise RightsDoubted(guarded.score, guarded.not_before_ms)


async def count_send(backends: Backends, conversation_id: str) -> None:
    """Count one send against the rate of its conversation, if conversations have a rate.

    Raises: TooManyRequests. Leaves: nothing counted.
    """
    rates = backends.rates.conversations
    if not rates.rate:
        return
    shared = SharedRate("conversation", conversation_id, rates.rate, rates.burst)
    try:
        wait_s = await backends.cache.take_rates([shared])
    except CacheUnavailable:
        wait_s = rates.take(conversation_id)
    if wait_s:
        raise TooManyRequests(wait_s)
