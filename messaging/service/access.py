"""Check who may see a conversation, and find a message by its id."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import TypeVar

from messaging.domain.backend_errors import CacheUnavailable, StoreUnavailable
from messaging.domain.conversations import Floor
from messaging.domain.errors import (
    GroupNotFound,
    MessageNotFound,
    NotAMember,
    RightsDoubted,
    TemporarilyUnavailable,
)
from messaging.domain.message import ChatType, Message, join
from messaging.ports.cached import ReaderView
from messaging.ports.directory import Directory, GroupAccess, TokenMark
from messaging.service.backends import Backends
from messaging.service.hidden_messages import find_floor
from messaging.service.visibility import Reader

NOBODY = 0  # the id of a reader without deletes
MOST_DOUBTS = 3  # of one request; each one asks the database

Answer = TypeVar("Answer")


async def may_act(directory: Directory, user_id: int, mark: TokenMark | None = None) -> bool:
    """Tell whether this user may act; with a `mark`, also by the token that bears the mark.

    A token that was ended gives False.

    Raises: TemporarilyUnavailable when the answer cannot be known.
    """
    try:
        return await directory.user_is_active(user_id, mark)
    except StoreUnavailable as error:
        raise TemporarilyUnavailable from error


async def check_member(
    backends: Backends, *, group_id: int, user_id: int, is_listed: bool = False
) -> GroupAccess:
    """Return the access of a member to a group, as far as this process knows it.

    An answer that this process does not know costs a look-up, which the user's rate counts.
    `is_listed`: the group is in the user's list of conversations, and its look-up is not counted.

    Raises: GroupNotFound; NotAMember; TooManyRequests for a user who asks about too many groups;
    TemporarilyUnavailable when the membership cannot be known.
    """
    access = backends.directory.known_access(group_id, user_id)
    if access is None:
        if not is_listed:
            backends.rates.lookups.spend(user_id)
        try:
            access = await backends.directory.group_access(group_id, user_id)
        except StoreUnavailable as error:
            raise TemporarilyUnavailable from error
    return _of_member(access)


async def recheck_member(
    backends: Backends, *, group_id: int, user_id: int, after: int
) -> GroupAccess:
    """Return the access of a member as the database gives it, asked for after this score.

    `after`: a score of the guard; 0 where the guard has told nothing.

    Raises: GroupNotFound; NotAMember; TemporarilyUnavailable without the database.
    """
    try:
        return _of_member(await backends.directory.ask_access(group_id, user_id, after=after))
    except StoreUnavailable as error:
        raise TemporarilyUnavailable from error


def _of_member(access: GroupAccess | None) -> GroupAccess:
    if access is None:
        raise GroupNotFound
    if access.member is None:
        raise NotAMember
    return access


async def read_as_member(
    backends: Backends,
    read: Callable[[Reader], Awaitable[Answer]],
    *,
    group_id: int,
    user_id: int,
    is_listed: bool = False,
) -> Answer:
    """Return what `read` gives a member; where it doubts the member's access, read once more.

    `is_listed`: as in `check_member`.

    Raises: as `check_member`, and TemporarilyUnavailable after too many doubts.
    """
    access = await check_member(backends, group_id=group_id, user_id=user_id, is_listed=is_listed)
    reader = Reader(user_id, access)
    for _ in range(MOST_DOUBTS):
        try:
            return await read(reader)
        except RightsDoubted as doubt:
            access = await recheck_member(
                backends, group_id=group_id, user_id=user_id, after=doubt.score
            )
        reader = Reader(user_id, access, is_fresh=True)
    return await read(reader)


async def access_message(
    backends: Backends, message_id: int, *, user_id: int
) -> tuple[Message, Reader]:
    """Return the message at its latest state, and the reader that this user is of it.

    Raises: MessageNotFound for an absent message, and alike for one that this user may not see;
    TemporarilyUnavailable when a backend that might know the message or the membership is away;
    TooManyRequests as `check_member` does. A message that the user has deleted is returned. While
    the database is away, the floor counts as far as it is known: the content is not to be shown.
    """
    found = await _find(backends, message_id, reader_id=user_id)
    if found is None:
        raise MessageNotFound
    message = found.message
    reader = await check_reader(
        backends, message, user_id=user_id, guard=found.guard, cleared=found.cleared
    )
    try:
        reader = await find_floor(backends, message.conversation_id, reader)
    except StoreUnavailable as error:
        if found.guard is None:
            raise TemporarilyUnavailable from error
    if not reader.may_see(message.id):
        raise MessageNotFound
    return message, reader


async def check_reader(
    backends: Backends,
    message: Message,
    *,
    user_id: int,
    guard: int | None,
    cleared: Floor | None,
) -> Reader:
    """Return the reader that this user is of a message's conversation.

    `guard`, `cleared`: the score and the floor that the cache gave with the message; None: the
    database gave the message, the cache does not know the floor.

    Raises: MessageNotFound for a user who does not belong to the conversation;
    TemporarilyUnavailable, TooManyRequests as `check_member` does.
    """
    if message.chat_type is ChatType.PRIVATE:
        reader = Reader(user_id)
        if user_id not in (message.from_user_id, message.to_id):
            raise MessageNotFound
    else:
        try:
            reader = await _check_member_reader(backends, message.to_id, user_id, guard)
        except (GroupNotFound, NotAMember) as error:
            raise MessageNotFound from error
    return reader.above(cleared)


async def _check_member_reader(
    backends: Backends, group_id: int, user_id: int, guard: int | None
) -> Reader:
    if guard is not None:
        access = await check_member(backends, group_id=group_id, user_id=user_id)
        if guard <= access.asked_after:
            return Reader(user_id, access)
    access = await recheck_member(backends, group_id=group_id, user_id=user_id, after=guard or 0)
    return Reader(user_id, access, is_fresh=True)


@dataclass(frozen=True, slots=True)
class _Found:
    """Hold a message, the guard's score for its reader, and the reader's floor.

    `guard`, `cleared`: None where the cache has not told it.
    """

    message: Message
    guard: int | None = None
    cleared: Floor | None = None


async def find_message(backends: Backends, message_id: int) -> Message | None:
    """Return the message at its latest state, without checking the asker; None when there is none.

    The returned message has another id where the message of this id was deduplicated into it.

    Raises: TemporarilyUnavailable when a backend that might know the message is away, or may lack
    messages that another process has accepted without the cache.
    """
    found = await _find(backends, message_id, reader_id=NOBODY)
    return None if found is None else found.message


async def _find(backends: Backends, message_id: int, *, reader_id: int) -> _Found | None:
    cached = await _find_cached(backends, message_id, reader_id)
    if cached is not None and cached.messages:
        ((cached_id, message),) = cached.messages.items()
        return _Found(message, cached.guards.get(cached_id, 0), cached.cleared(cached_id))
    try:
        row = (await backends.store.find([message_id])).get(message_id)
    except StoreUnavailable as error:
        raise TemporarilyUnavailable from error
    is_whole = cached is not None and not cached.recovering
    if row is not None and row.id != message_id and cached is not None:
        cached = await _find_cached(backends, row.id, reader_id)  # perhaps recalled there
        state = None if cached is None else cached.messages.get(row.id)
        row = row if state is None else join(row, state)
    if row is None and not is_whole:
        raise TemporarilyUnavailable
    if cached is None and backends.catch_up.is_behind:
        raise TemporarilyUnavailable
    return None if row is None else _Found(row)


async def _find_cached(backends: Backends, message_id: int, reader_id: int) -> ReaderView | None:
    """Return the view of the message that this id leads to in the cache, empty where it has none.

    Return None while the cache is away.
    """
    cache = backends.cache
    try:
        seen = await cache.reader_view([message_id], reader_id=reader_id)
        if not seen.messages and (owner := await cache.find_alias(message_id)) is not None:
            return await cache.reader_view([owner], reader_id=reader_id)
    except CacheUnavailable:
        return None
    return seen
