"""Count unread messages: rows of the database, and the newest pending ones.

Nothing is counted up as messages come. A cached number counts only for the state that it was
counted for.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Mapping, Sequence

from messaging.domain.backend_errors import CacheUnavailable, StoreUnavailable
from messaging.domain.batched import batched
from messaging.domain.conversations import Entry, UnreadMemo
from messaging.domain.errors import GroupNotFound, NotAMember, TemporarilyUnavailable
from messaging.domain.message import Message, MsgType
from messaging.limits import MAX_UNREAD
from messaging.ports.cached import CachedTail
from messaging.service.backends import Backends
from messaging.service.newest import read_newest, read_tails

MOST_COUNTED = MAX_UNREAD + 1  # one more tells that there are more
PENDING_COUNTED = 64  # of the newest messages of a conversation
COUNTED_AT_ONCE = 100  # conversations of one statement
WALKS_AT_ONCE = 20  # conversations whose newest messages are read at the same time


async def count_unread(
    backends: Backends,
    entries: Sequence[Entry],
    *,
    reader_id: int,
    known: Mapping[str, int | None] | None = None,
) -> dict[str, int | None]:
    """Return the unread messages of these entries by conversation, `MOST_COUNTED` at most.

    A number is None where the database is away and no cached number counts. `known`: the numbers of
    `known_counts`, where the caller has them at hand.
    """
    waiting = [entry for entry in entries if entry.has_pending]
    stored, more = await asyncio.gather(
        count_stored(backends, entries, reader_id=reader_id, known=known),
        _count_all_pending(backends, waiting, reader_id),
    )
    return {name: add_pending(count, more.get(name, 0)) for name, count in stored.items()}


async def count_stored(
    backends: Backends,
    entries: Sequence[Entry],
    *,
    reader_id: int,
    known: Mapping[str, int | None] | None = None,
) -> dict[str, int | None]:
    """Return the unread rows of these entries by conversation, as `count_unread` does.

    The numbers that are not known take one question for each COUNTED_AT_ONCE, whose answers are
    cached before the next question.
    """
    if known is None:
        known = await known_counts(backends, entries, reader_id=reader_id)
    counts = dict(known)
    asked = [entry for entry in entries if counts[entry.conversation_id] is None]
    for part in batched(asked, COUNTED_AT_ONCE):
        try:
            counts |= await _ask(backends, part, reader_id)
        except StoreUnavailable:
            break
    return counts


async def known_counts(
    backends: Backends, entries: Sequence[Entry], *, reader_id: int
) -> dict[str, int | None]:
    """Return the unread rows of these entries without a query; None where none is known."""
    counts: dict[str, int | None] = {
        entry.conversation_id: 0 if entry.participant.read_seq >= entry.head.last_seq else None
        for entry in entries
    }
    unknown = {e.conversation_id: e for e in entries if counts[e.conversation_id] is None}
    memos: Mapping[str, UnreadMemo] = {}
    if unknown:
        with contextlib.suppress(CacheUnavailable):
            memos = await backends.cache.unread_memos(reader_id, list(unknown))
    return counts | {n: memo.count for n, memo in memos.items() if memo.counts_for(unknown[n])}


def pending_of(entry: Entry, messages: Sequence[Message]) -> int:
    """Return how many of these messages are new to the user and not behind the entry's head.

    Rows are counted up to the head, so a message that was stored since then counts here.
    """
    return sum(
        (message.seq is None or message.seq > entry.head.last_seq)
        and message.from_user_id != entry.participant.user_id
        and not message.is_recalled
        and message.msg_type is not MsgType.NOTICE
        for message in messages
    )


def add_pending(stored: int | None, pending: int) -> int | None:
    return None if stored is None else min(stored + pending, MOST_COUNTED)


async def _ask(backends: Backends, asked: Sequence[Entry], reader_id: int) -> dict[str, int]:
    """Count the unread rows of these entries in the database, and cache the numbers.

    Raises: StoreUnavailable.
    """
    entries = {entry.conversation_id: entry for entry in asked}
    found = await backends.conversations.count_unread(
        [entry.participant for entry in asked],
        up_to={name: entry.head.last_seq for name, entry in entries.items()},
        most=MOST_COUNTED,
    )
    memos = {name: _memo(entries[name], count) for name, count in found.items()}
    with contextlib.suppress(CacheUnavailable):
        await backends.cache.note_unread(reader_id, memos)
    return found


async def _count_all_pending(
    backends: Backends, entries: Sequence[Entry], reader_id: int
) -> dict[str, int]:
    counts: dict[str, int] = {}
    for part in batched(entries, WALKS_AT_ONCE):
        wanted = {entry.conversation_id: PENDING_COUNTED for entry in part}
        tails = await read_tails(backends, wanted, reader_id=reader_id)
        found = await asyncio.gather(
            *(_count_pending(backends, entry, reader_id, tails) for entry in part)
        )
        counts |= dict(zip(wanted, found, strict=True))
    return counts


async def _count_pending(
    backends: Backends, entry: Entry, reader_id: int, tails: Mapping[str, CachedTail]
) -> int:
    """Count the pending messages of an entry; none where nothing may be read, or can be."""
    tail, count = tails[entry.conversation_id], PENDING_COUNTED
    try:
        newest = await read_newest(backends, entry, reader_id=reader_id, count=count, tail=tail)
    except (GroupNotFound, NotAMember, TemporarilyUnavailable):
        return 0
    return pending_of(entry, newest.messages)


def _memo(entry: Entry, count: int) -> UnreadMemo:
    head = entry.head
    return UnreadMemo(head.last_seq, head.last_rev, entry.participant.rev, count)
