"""Count unread messages: rows of the database, and the newest pending ones.

Nothing is counted up as messages come. A cached number counts only for the state that it was
counted for.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Sequence

from messaging.domain.backend_errors import CacheUnavailable, StoreUnavailable
from messaging.domain.conversations import Entry, UnreadMemo
from messaging.domain.errors import GroupNotFound, NotAMember, TemporarilyUnavailable
from messaging.domain.message import Message, MsgType
from messaging.limits import MAX_UNREAD
from messaging.service.backends import Backends
from messaging.service.listing import Listing
from messaging.service.newest import read_newest

MOST_COUNTED = MAX_UNREAD + 1  # one more tells that there are more
PENDING_COUNTED = 64  # of the newest messages of a conversation


async def count_unread(
    backends: Backends, listing: Listing, entries: Sequence[Entry], *, reader_id: int
) -> dict[str, int | None]:
    """Return the unread messages of these entries by conversation, `MOST_COUNTED` at most.

    A number is None where the database is away and no cached number counts.
    """
    waiting = [entry for entry in entries if entry.has_pending]
    stored, pending = await asyncio.gather(
        count_stored(backends, listing, entries, reader_id=reader_id),
        asyncio.gather(*(_count_pending(backends, entry, reader_id) for entry in waiting)),
    )
    more = {entry.conversation_id: count for entry, count in zip(waiting, pending, strict=True)}
    return {name: add_pending(count, more.get(name, 0)) for name, count in stored.items()}


async def count_stored(
    backends: Backends, listing: Listing, entries: Sequence[Entry], *, reader_id: int
) -> dict[str, int | None]:
    """Return the unread rows of these entries by conversation, as `count_unread` does.

    All numbers that are not known take one question, whose answers are cached.
    """
    counts: dict[str, int | None] = {}
    asked: dict[str, Entry] = {}
    for entry in entries:
        name, memo = entry.conversation_id, listing.memos.get(entry.conversation_id)
        counts[name] = None
        if entry.participant.read_seq >= entry.head.last_seq:
            counts[name] = 0
        elif memo is not None and memo.counts_for(entry):
            counts[name] = memo.count
        else:
            asked[name] = entry
    if not asked:
        return counts
    try:
        found = await backends.conversations.count_unread(
            [entry.participant for entry in asked.values()],
            up_to={name: entry.head.last_seq for name, entry in asked.items()},
            most=MOST_COUNTED,
        )
    except StoreUnavailable:
        return counts
    memos = {name: _memo(asked[name], count) for name, count in found.items()}
    with contextlib.suppress(CacheUnavailable):
        await backends.cache.note_unread(reader_id, memos)
    return counts | found


def pending_of(messages: Sequence[Message], *, reader_id: int) -> int:
    """Return how many of these messages are pending and new to the reader."""
    return sum(
        message.seq is None
        and message.from_user_id != reader_id
        and not message.is_recalled
        and message.msg_type is not MsgType.NOTICE
        for message in messages
    )


def add_pending(stored: int | None, pending: int) -> int | None:
    return None if stored is None else min(stored + pending, MOST_COUNTED)


async def _count_pending(backends: Backends, entry: Entry, reader_id: int) -> int:
    """Count the pending messages of an entry; none where nothing may be read, or can be."""
    try:
        newest = await read_newest(
            backends, entry.conversation_id, reader_id=reader_id, count=PENDING_COUNTED
        )
    except (GroupNotFound, NotAMember, TemporarilyUnavailable):
        return 0
    return pending_of(newest.messages, reader_id=reader_id)


def _memo(entry: Entry, count: int) -> UnreadMemo:
    head = entry.head
    return UnreadMemo(head.last_seq, head.last_rev, entry.participant.rev, count)
