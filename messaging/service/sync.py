"""Tell a client everything that differs from its cursor."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from msgspec.structs import replace

from messaging.domain.backend_errors import StoreUnavailable
from messaging.domain.conversations import NEVER, Entry, Mark, peer_of
from messaging.domain.sync_cursor import NOWHERE, Cursor, Position, Round
from messaging.domain.sync_requests import SyncRequest
from messaging.limits import MAX_PAGE_BYTES, MAX_RECEIPTS, READ_BYTES
from messaging.ports.directory import Directory
from messaging.service.backends import Backends
from messaging.service.conversation_views import ConversationView, view_conversations
from messaging.service.conversations import CONVERSATIONS_A_READ
from messaging.service.listing import read_listing
from messaging.service.marks import mark_later
from messaging.service.sync_round import Plan, is_ahead, peer_differs, plan
from messaging.service.sync_telling import Told, tell
from messaging.service.windows import Window, read_windows

POSITIONS_A_READ = 100  # of a cursor: to decode and to compare 10,000 takes 25 ms and more


@dataclass(frozen=True, slots=True, kw_only=True)
class SyncAnswer:
    """Hold the answer to a call of sync.

    `left`: conversations that the user is out of. `text`: of the cursor, where it is the one that
    was given. `partial`: a backend was away or recovering, and newer messages or numbers may be
    missing.
    """

    told: Sequence[Told]
    left: Sequence[Entry]
    cursor: Cursor
    text: str | None
    has_more: bool
    partial: bool


async def sync(backends: Backends, request: SyncRequest, *, reader_id: int) -> SyncAnswer:
    """Return the next part of what differs from the cursor, and the cursor after it.

    A cursor proves that its client has got the messages up to it: in private chats the other party
    is told so, after the answer.

    Raises: TemporarilyUnavailable; TooManyRequests, at once, for a user who reads too fast. Every
    CONVERSATIONS_A_READ conversations told, POSITIONS_A_READ positions of the cursor, and
    READ_BYTES of an answer count as one more read.
    """
    backends.rates.reads.spend(reader_id)
    backends.rates.reads.charge(reader_id, len(request.cursor.positions) // POSITIONS_A_READ)
    async with backends.rates.pages.turn(reader_id):
        answer = await _answer(backends, request, reader_id)
    size = sum(each.size_bytes for each in answer.told)
    more = max(len(answer.told) - 1, 0) // CONVERSATIONS_A_READ + size // READ_BYTES
    backends.rates.reads.charge(reader_id, more)
    return answer


async def _answer(backends: Backends, request: SyncRequest, reader_id: int) -> SyncAnswer:
    listing = await read_listing(backends, reader_id, known=request.cursor.idle_digest)
    if listing.is_known:
        return _idle(request, request.cursor)
    known = request.cursor.positions
    entries, is_sure = await _without_doubt(backends, listing.entries, known, reader_id)
    delivered = _delivered(entries, known)
    mark_later(backends, delivered)
    shown = _with_shown_peers(backends.directory, entries, known, reader_id)
    planned = plan(shown, request)
    is_whole = is_sure and shown is entries and not listing.partial
    is_judged = is_whole and request.cursor.round == Round()
    if is_judged and not (delivered or planned.visits or planned.left):
        kept = request.cursor.idle_digest if listing.digest is None else listing.digest
        return _idle(request, replace(request.cursor, idle_digest=kept))
    wanted = [visit.entry for visit in planned.visits]
    windows, (views, is_partial) = await asyncio.gather(
        read_windows(backends, planned.visits, reader_id=reader_id),
        view_conversations(backends, wanted, reader_id=reader_id),
    )
    view_of = {view.entry.conversation_id: view for view in views}
    partial = listing.partial or is_partial or not is_sure
    return _assemble(planned, windows, view_of, request, partial=partial)


def _idle(request: SyncRequest, cursor: Cursor) -> SyncAnswer:
    """Return the answer that tells nothing; the cursor may have got the digest of such a list.

    A list of this digest tells a client at these positions nothing at any time, so it is not read
    again: neither by its client, nor to prove a delivery.
    """
    text = request.text if cursor == request.cursor else None
    return SyncAnswer(told=(), left=(), cursor=cursor, text=text, has_more=False, partial=False)


def _assemble(
    planned: Plan,
    windows: Mapping[str, Window],
    view_of: Mapping[str, ConversationView],
    request: SyncRequest,
    *,
    partial: bool,
) -> SyncAnswer:
    """Return the answer, which ends early where it reaches MAX_PAGE_BYTES."""
    positions = dict(request.cursor.positions)
    for entry in planned.left:
        del positions[entry.conversation_id]
    under_way, is_cut = request.cursor.round, planned.is_cut
    lacks, has_more = under_way.lacks, False
    told: list[Told] = []
    room = MAX_PAGE_BYTES
    for visit in planned.visits:
        name = visit.conversation_id
        if name not in windows or name not in view_of:
            under_way, lacks = visit.passed, True
            continue
        each = tell(windows[name], view_of[name], order=request.order, room=room)
        if told and (each.is_short or each.size_bytes > room):
            is_cut = True
            break
        under_way = each.after
        if not visit.tells(each.shown_entry):
            continue
        told.append(each)
        room -= each.size_bytes
        if each.position is not None:
            positions[name] = each.position
        else:  # the client has to be told when the user is out
            positions.setdefault(name, NOWHERE)
        lacks |= each.lacks
        has_more |= not each.partial and each.differs
        if each.after.stays is not None:
            is_cut = True
            break
    cursor = Cursor(positions, replace(under_way, lacks=lacks) if is_cut else Round())
    return SyncAnswer(
        told=told,
        left=planned.left,
        cursor=cursor,
        text=request.text if cursor == request.cursor else None,
        has_more=is_cut or (has_more and not lacks),
        partial=partial or lacks or any(each.partial for each in told),
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


def _with_shown_peers(
    directory: Directory,
    entries: Mapping[str, Entry],
    known: Mapping[str, Position],
    reader_id: int,
) -> Mapping[str, Entry]:
    """Return the entries, without the positions of other parties that are known to be hidden.

    Nobody is asked here. Whether an unknown party shows them is asked where the call tells the
    conversation, which bounds the look-ups of a call.
    """
    known_from = directory.known_receipts_from
    hides = known_from(reader_id) == NEVER
    hidden = {
        name: replace(entry, peer=None)
        for name, position in known.items()
        if (entry := entries.get(name))
        and entry.peer is not None
        and peer_differs(position, entry)
        and (hides or not entry.peer.is_shown(known_from(peer_of(name, reader_id) or 0) or 0))
    }
    return {**entries, **hidden} if hidden else entries


def _delivered(entries: Mapping[str, Entry], known: Mapping[str, Position]) -> list[Mark]:
    """Return the marks of delivery that a client's positions prove, of private conversations.

    They are as many as one call marks; the next calls prove the others.
    """
    marks = []
    for name, position in known.items():
        entry = entries.get(name)
        if entry is None or entry.peer is None:
            continue
        seq = min(position.seq, entry.head.last_seq)
        if seq > entry.participant.delivered_seq:
            user_id = entry.participant.user_id
            mark = Mark(user_id=user_id, conversation_id=name, delivered_seq=seq, ends_unread=False)
            marks.append(mark)
            if len(marks) == MAX_RECEIPTS:
                break
    return marks
