"""Tell a client everything that differs from its cursor."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from msgspec.structs import replace

from messaging.domain.backend_errors import StoreUnavailable
from messaging.domain.conversations import Entry, Mark, peer_of
from messaging.domain.sync_cursor import NOWHERE, Cursor, Position, Round
from messaging.domain.sync_requests import SyncRequest
from messaging.limits import MAX_PAGE_BYTES, READ_BYTES
from messaging.service.backends import Backends
from messaging.service.conversation_views import ConversationView, view_conversations, who_shows
from messaging.service.listing import read_listing
from messaging.service.marks import mark_later
from messaging.service.sync_round import Plan, differs, is_ahead, peer_differs, plan
from messaging.service.sync_telling import Told, tell
from messaging.service.windows import Window, read_windows


@dataclass(frozen=True, slots=True, kw_only=True)
class SyncAnswer:
    """Hold the answer to a call of sync.

    `left`: conversations that the user is out of. `partial`: a backend was away or recovering, and
    newer messages or numbers may be missing.
    """

    told: Sequence[Told]
    left: Sequence[Entry]
    cursor: Cursor
    has_more: bool
    partial: bool


async def sync(backends: Backends, request: SyncRequest, *, reader_id: int) -> SyncAnswer:
    """Return the next part of what differs from the cursor, and the cursor after it.

    A cursor proves that its client has got the messages up to it: in private chats the other party
    is told so, after the answer.

    Raises: TemporarilyUnavailable; TooManyRequests, at once, for a user who reads too fast. Every
    READ_BYTES of an answer count as one more read.
    """
    backends.rates.reads.spend(reader_id)
    async with backends.rates.pages.turn(reader_id):
        answer = await _answer(backends, request, reader_id)
    size = sum(each.size_bytes for each in answer.told)
    backends.rates.reads.charge(reader_id, size // READ_BYTES)
    return answer


async def _answer(backends: Backends, request: SyncRequest, reader_id: int) -> SyncAnswer:
    listing = await read_listing(backends, reader_id)
    known = request.cursor.positions
    entries, is_sure = await _without_doubt(backends, listing.entries, known, reader_id)
    mark_later(backends, _delivered(entries, known))
    planned = plan(await _with_shown_peers(backends, entries, known, reader_id), request)
    wanted = [visit.entry for visit in planned.visits]
    windows, (views, is_partial) = await asyncio.gather(
        read_windows(backends, planned.visits, reader_id=reader_id),
        view_conversations(backends, listing, wanted, reader_id=reader_id),
    )
    view_of = {view.entry.conversation_id: view for view in views}
    pairs = [
        (windows[name], view_of[name])
        for visit in planned.visits
        if (name := visit.conversation_id) in windows and name in view_of
    ]
    partial = listing.partial or is_partial or not is_sure
    return _assemble(planned, pairs, request, partial=partial)


def _assemble(
    planned: Plan,
    pairs: Sequence[tuple[Window, ConversationView]],
    request: SyncRequest,
    *,
    partial: bool,
) -> SyncAnswer:
    """Return the answer, which ends early where it reaches MAX_PAGE_BYTES."""
    positions = dict(request.cursor.positions)
    for entry in planned.left:
        del positions[entry.conversation_id]
    has_more, under_way = planned.is_cut, Round()
    if planned.is_cut:
        under_way = planned.visits[-1].after if planned.visits else request.cursor.round
    told: list[Told] = []
    room = MAX_PAGE_BYTES
    for window, view in pairs:
        each = tell(window, view, order=request.order, room=room)
        is_short = len(each.messages) < len(window.messages or ())
        if told and (is_short or each.size_bytes > room):
            under_way, has_more = told[-1].after, True
            break
        told.append(each)
        room -= each.size_bytes
        name = each.view.entry.conversation_id
        if each.position is not None:
            positions[name] = each.position
        else:  # the client has to be told when the user is out
            positions.setdefault(name, NOWHERE)
        has_more |= not each.partial and differs(each.position, each.shown_entry)
        if each.after != window.visit.after:
            under_way, has_more = each.after, True
            break
    return SyncAnswer(
        told=told,
        left=planned.left,
        cursor=Cursor(positions, under_way),
        has_more=has_more,
        partial=partial or any(each.partial for each in told),
    )


async def _without_doubt(
    backends: Backends,
    entries: Mapping[str, Entry],
    known: Mapping[str, Position],
    reader_id: int,
) -> tuple[Mapping[str, Entry], bool]:
    """Return the entries, asked for afresh where a client knows more than the cache.

    Without the store these conversations are left out, and the answer is partial.
    """
    ahead = [
        name
        for name, position in known.items()
        if (entry := entries.get(name)) and is_ahead(position, entry)
    ]
    if not ahead:
        return entries, True
    try:
        asked = await backends.conversations.listing(reader_id, ahead)
    except StoreUnavailable:
        return {name: entry for name, entry in entries.items() if name not in ahead}, False
    sure = {name: entry for name, entry in entries.items() if name not in ahead}
    for entry in asked:
        listed = entries[entry.conversation_id].listed
        sure[entry.conversation_id] = replace(entry, listed=listed)
    return sure, True


async def _with_shown_peers(
    backends: Backends,
    entries: Mapping[str, Entry],
    known: Mapping[str, Position],
    reader_id: int,
) -> Mapping[str, Entry]:
    """Return the entries, without the positions of other parties that the user is not shown."""
    moved = [
        entry
        for name, position in known.items()
        if (entry := entries.get(name)) and peer_differs(position, entry)
    ]
    shows = await who_shows(backends, moved, reader_id)
    hidden = {
        entry.conversation_id: replace(entry, peer=None)
        for entry in moved
        if not (shows[reader_id] and shows[peer_of(entry.conversation_id, reader_id) or 0])
    }
    return {**entries, **hidden}


def _delivered(entries: Mapping[str, Entry], known: Mapping[str, Position]) -> list[Mark]:
    """Return the marks of delivery that a client's positions prove, of private conversations."""
    marks = []
    for name, position in known.items():
        entry = entries.get(name)
        if entry is None or entry.peer is None:
            continue
        seq = min(position.seq, entry.head.last_seq)
        if seq > entry.participant.delivered_seq:
            user_id = entry.participant.user_id
            marks.append(Mark(user_id=user_id, conversation_id=name, delivered_seq=seq))
    return marks
