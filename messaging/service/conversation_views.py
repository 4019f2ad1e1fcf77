"""Show conversations to one user: each with its newest message and its number of unread ones."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from messaging.domain.backend_errors import StoreUnavailable
from messaging.domain.conversations import NEVER, Entry, Peer, peer_of
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
    shows no receipts, where the other one showed none at the last reading, and where there is no
    other party.
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
    stored, receipts_from, reads = await asyncio.gather(
        count_stored(backends, entries, reader_id=reader_id),
        read_receipts_from(backends, entries, reader_id),
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
            peer=_shown_peer(entry, receipts_from, reader_id),
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


async def read_receipts_from(
    backends: Backends, entries: Sequence[Entry], reader_id: int
) -> Mapping[int, int]:
    """Return from when on the user, and each other party of private conversations, shows receipts.

    A user whose choice nobody can tell hides them.
    """
    peers = {peer_of(entry.conversation_id, reader_id) for entry in entries} - {None}
    user_ids = {reader_id, *(each for each in peers if each is not None)} if peers else set()
    known = {user_id: backends.directory.known_receipts_from(user_id) for user_id in user_ids}
    asked = [user_id for user_id, time_ms in known.items() if time_ms is None]
    told = await asyncio.gather(*(_ask_receipts_from(backends, user_id) for user_id in asked))
    times = {user_id: time_ms for user_id, time_ms in known.items() if time_ms is not None}
    return times | dict(zip(asked, told, strict=True))


async def _ask_receipts_from(backends: Backends, user_id: int) -> int:
    try:
        return await backends.directory.receipts_from(user_id)
    except StoreUnavailable:
        return NEVER


def _shown_peer(entry: Entry, receipts_from: Mapping[int, int], reader_id: int) -> Peer | None:
    peer_id = peer_of(entry.conversation_id, reader_id)
    if peer_id is None or entry.peer is None or receipts_from[reader_id] == NEVER:
        return None
    return entry.peer if entry.peer.is_shown(receipts_from[peer_id]) else None
