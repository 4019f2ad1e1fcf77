"""Check who may see a conversation, and find a message by its id."""

from __future__ import annotations

from messaging.domain.backend_errors import CacheUnavailable, StoreUnavailable
from messaging.domain.errors import (
    GroupNotFound,
    MessageNotFound,
    NotAMember,
    TemporarilyUnavailable,
)
from messaging.domain.message import ChatType, Message, join
from messaging.ports.directory import Directory, TokenMark
from messaging.service.backends import Backends

NOBODY = 0  # the id of a reader without deletes


async def may_act(directory: Directory, user_id: int, mark: TokenMark | None = None) -> bool:
    """Tell whether this user may act; with a `mark`, also by the token that bears the mark.

    A token that was ended gives False.

    Raises: TemporarilyUnavailable when the answer cannot be known.
    """
    try:
        return await directory.user_is_active(user_id, mark)
    except StoreUnavailable as error:
        raise TemporarilyUnavailable from error


async def check_member(backends: Backends, *, group_id: int, user_id: int) -> None:
    """Check that a user is a member of a group.

    Raises: GroupNotFound; NotAMember; TooManyRequests for a user who asks about too many groups;
    TemporarilyUnavailable when the membership cannot be known.
    """
    member = await _find_member(backends, group_id=group_id, user_id=user_id)
    if member is None:
        raise GroupNotFound
    if not member:
        raise NotAMember


async def access_message(backends: Backends, message_id: int, *, user_id: int) -> Message:
    """Return the message at its latest state, if this user belongs to its conversation.

    Raises: MessageNotFound for an absent message, and alike for a user outside its conversation;
    TemporarilyUnavailable when a backend that might know the message is away; TooManyRequests as
    `check_member` does.
    """
    message = await find_message(backends, message_id)
    if message is None:
        raise MessageNotFound
    await check_participant(backends, message, user_id=user_id)
    return message


async def check_participant(backends: Backends, message: Message, *, user_id: int) -> None:
    """Check that a user belongs to a message's conversation.

    Raises: MessageNotFound for a user who does not; TemporarilyUnavailable when the membership of
    a group cannot be known; TooManyRequests for a user who asks about too many groups.
    """
    if message.chat_type is ChatType.PRIVATE:
        is_participant = user_id in (message.from_user_id, message.to_id)
    else:
        is_participant = bool(await _find_member(backends, group_id=message.to_id, user_id=user_id))
    if not is_participant:
        raise MessageNotFound


async def find_message(backends: Backends, message_id: int) -> Message | None:
    """Return the message at its latest state, without checking the asker; None when there is none.

    The returned message has another id where the message of this id was deduplicated into it.

    Raises: TemporarilyUnavailable when a backend that might know the message is away, or may lack
    messages that another process has accepted without the cache.
    """
    cached, cache_answered, is_whole = await _cached(backends, message_id)
    if cached is not None:
        return cached
    try:
        row = (await backends.store.find([message_id])).get(message_id)
    except StoreUnavailable as error:
        raise TemporarilyUnavailable from error
    if row is not None and row.id != message_id and cache_answered:
        cached, cache_answered, _ = await _cached(backends, row.id)  # perhaps recalled there
        row = row if cached is None or cached.id != row.id else join(row, cached)
    if row is None and not is_whole:
        raise TemporarilyUnavailable
    if not cache_answered and backends.catch_up.is_behind:
        raise TemporarilyUnavailable
    return row


async def _cached(backends: Backends, message_id: int) -> tuple[Message | None, bool, bool]:
    """Return the cached state of the message that this id leads to, and two facts of the cache.

    The first flag tells whether the cache has answered, the second whether the cache has every
    accepted message that is not stored.
    """
    cache = backends.cache
    try:
        seen = await cache.reader_view([message_id], reader_id=NOBODY)
        cached = seen.messages.get(message_id)
        if cached is None and (owner := await cache.find_alias(message_id)) is not None:
            cached = (await cache.get([owner])).get(owner)
    except CacheUnavailable:
        return None, False, False
    return cached, True, not seen.recovering


async def _find_member(backends: Backends, *, group_id: int, user_id: int) -> bool | None:
    """Tell whether a user is a member; None when there is no such group.

    An answer that this process does not know costs a look-up, which the user's rate counts.

    Raises: TooManyRequests, TemporarilyUnavailable.
    """
    known = backends.directory.known_member(group_id, user_id)
    if known is not None:
        return known
    backends.rates.lookups.spend(user_id)
    try:
        return await backends.directory.is_member(group_id, user_id)
    except StoreUnavailable as error:
        raise TemporarilyUnavailable from error
