"""Show conversations to one user: each with its newest message and its number of unread ones."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from messaging.domain.backend_errors import StoreUnavailable
from messaging.domain.conversations import Entry, Peer, peer_of
from messaging.domain.errors import GroupNotFound, NotAMember, TemporarilyUnavailable
from messaging.domain.message import Message
from messaging.ports.cached import CachedTail
from messaging.ports.directory import GroupAccess
from messaging.service.backends import Backends
from messaging.service.newest import Newest, read_newest, read_tails
from messaging.service.unread import PENDING_COUNTED, add_pending, count_stored, pending_of


@dataclass(frozen=True, slots=True, kw_only=True)
class ConversationView:
    """Hold one conversation as a user sees it.

    `access`: the user's access to a group; None in a private conversation.
    `last_message`: the newest that the user may see.
    `unread`: as `count_unread` returns it.
    `peer`: how far the other party of a private conversation has read; None where one of the two
    shows no receipts, and where there is no other party.
    """

    entry: Entry
    access: GroupAccess | None = None
    last_message: Message | None = None
    unread: int | None = None
    peer: Peer | None = None


async def view_conversations(
    backends: Backends, entries: Sequence[Entry], *, reader_id: int
) -> tuple[list[ConversationView], bool]:
    """Return the entries as the user sees them, and whether a message or a number may be missing.

    A group that the user turns out not to be in is left out. So is a group whose membership nobody
    can tell now. All is read at the same time.
    """
    stored, shows, reads = await asyncio.gather(
        count_stored(backends, entries, reader_id=reader_id),
        who_shows(backends, entries, reader_id),
        _read_all(backends, entries, reader_id),
    )
    views = [
        ConversationView(
            entry=entry,
            access=read.newest.access,
            last_message=next(iter(read.newest.messages), None),
            unread=add_pending(
                stored[entry.conversation_id],
                pending_of(entry, read.newest.messages),
            ),
            peer=_shown_peer(entry, shows, reader_id),
        )
        for entry, read in zip(entries, reads, strict=True)
        if read.newest is not None
    ]
    is_partial = any(read.partial for read in reads) or any(view.unread is None for view in views)
    return views, is_partial


@dataclass(frozen=True, slots=True)
class _Read:
    """Hold what could be read of an entry; `newest` is None for an entry that is left out."""

    newest: Newest | None
    partial: bool = False


async def _read_all(backends: Backends, entries: Sequence[Entry], reader_id: int) -> list[_Read]:
    counts = {
        entry.conversation_id: PENDING_COUNTED if entry.has_pending else 1 for entry in entries
    }
    tails = await read_tails(backends, counts, reader_id=reader_id)
    return await asyncio.gather(
        *(
            _read(backends, entry, reader_id, counts[name], tails[name])
            for name, entry in zip(counts, entries, strict=True)
        )
    )


async def _read(
    backends: Backends, entry: Entry, reader_id: int, count: int, tail: CachedTail
) -> _Read:
    """Return the newest messages, as many as the count of unread ones needs."""
    try:
        newest = await read_newest(backends, entry, reader_id=reader_id, count=count, tail=tail)
    except (GroupNotFound, NotAMember):
        return _Read(None)
    except TemporarilyUnavailable:
        return _Read(None, partial=True)
    return _Read(newest, newest.partial)


async def shows_receipts(backends: Backends, user_id: int) -> bool:
    """Tell whether a user shows receipts; a user whose choice nobody can tell does not."""
    try:
        return await backends.directory.shows_receipts(user_id)
    except StoreUnavailable:
        return False


async def who_shows(
    backends: Backends, entries: Sequence[Entry], reader_id: int
) -> Mapping[int, bool]:
    """Tell of the user and of the other parties of private conversations who shows receipts."""
    peers = {peer_of(entry.conversation_id, reader_id) for entry in entries} - {None}
    user_ids = [user_id for user_id in {reader_id, *peers} if user_id is not None] if peers else []
    shows = await asyncio.gather(*(shows_receipts(backends, user_id) for user_id in user_ids))
    return dict(zip(user_ids, shows, strict=True))


def _shown_peer(entry: Entry, shows: Mapping[int, bool], reader_id: int) -> Peer | None:
    peer_id = peer_of(entry.conversation_id, reader_id)
    return entry.peer if peer_id is not None and shows[reader_id] and shows[peer_id] else None
