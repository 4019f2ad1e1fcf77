"""Read what one reader may see of spans of conversations, each span complete.

Used by sync and by the reading of spans. A span out of the cache is complete exactly if its
messages are as many as its numbers; any other span is read in the store. Whether the reader may
see the messages is checked after they were read.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import TypeVar

from messaging.domain.backend_errors import CacheUnavailable, StoreUnavailable
from messaging.domain.errors import GroupNotFound, NotAMember, TemporarilyUnavailable
from messaging.domain.ids import group_of
from messaging.domain.message import Message
from messaging.limits import MAX_SYNCED_CHANGES, MAX_SYNCED_DELETES
from messaging.ports.cached import CachedTail
from messaging.ports.conversations import DeletedSince
from messaging.service.access import read_as_member
from messaging.service.backends import Backends
from messaging.service.hidden_messages import load_deletes, with_deletes
from messaging.service.history_pages import AWAY
from messaging.service.seeing import check_whole, see
from messaging.service.sync_round import Visit
from messaging.service.visibility import Reader

PENDING_SHOWN = 64  # of a conversation, the newest
MIXED_IN = 8  # pending messages that may lie between the wanted ones, without a second reading

Wanted = TypeVar("Wanted")
Answer = TypeVar("Answer")


@dataclass(frozen=True, slots=True, kw_only=True)
class Window:
    """Hold what a reader is told of one conversation; each part is None where it is not known.

    `messages`: of the visit's span, in order of `seq`. `changes`: in order of `rev`, and complete
    up to `rev`. `pending`: in order of id. `partial`: newer messages may be missing.
    """

    visit: Visit
    messages: tuple[Message, ...] | None = None
    changes: tuple[Message, ...] = ()
    rev: int | None = None
    deletes: DeletedSince | None = None
    pending: tuple[Message, ...] = ()
    partial: bool = True


@dataclass(slots=True)
class _Found:
    """Hold what was read of one conversation before its reader is checked.

    `span`: the messages of the visit's span, None where they are not known.
    `deleted`: the reader's deletes by the store, where the client begins anew.
    """

    visit: Visit
    tail: CachedTail | None = None
    span: Sequence[Message] | None = ()
    changes: Sequence[Message] = ()
    rev: int | None = None
    deletes: DeletedSince | None = None
    deleted: frozenset[int] = frozenset()

    @property
    def lacks(self) -> bool:
        """Tell whether the store was away with a part of this."""
        return self.span is None or self.rev is None or self.deletes is None


async def read_windows(
    backends: Backends, visits: Sequence[Visit], *, reader_id: int
) -> dict[str, Window]:
    """Return a window for each visit; a conversation that the reader is out of has none.

    The store is asked once for all visits, and not at all where the cache has everything.

    Raises: TemporarilyUnavailable while the store's rows alone must not be shown; TooManyRequests.
    """
    found = await asyncio.gather(*(_look(backends, each, reader_id=reader_id) for each in visits))
    await _know_deletes(backends, found, reader_id=reader_id)
    await _ask_store(backends, found, reader_id=reader_id)
    windows = await asyncio.gather(*(_show(backends, each, reader_id=reader_id) for each in found))
    return {each.visit.conversation_id: each for each in windows if each is not None}


async def _look(backends: Backends, visit: Visit, *, reader_id: int) -> _Found:
    """Read the cached tail of a conversation, where messages of it are wanted."""
    head, participant = visit.entry.head, visit.entry.participant
    found = _Found(visit, rev=head.last_rev, deletes=DeletedSince((), participant.rev))
    if not visit.news and not visit.entry.has_pending:
        return found
    wanted = visit.news if visit.may_be_cached else 0
    more = PENDING_SHOWN if visit.entry.has_pending else MIXED_IN
    try:
        found.tail = await backends.cache.cached_tail(
            visit.conversation_id, reader_id=reader_id, before=None, limit=wanted + more
        )
    except CacheUnavailable:
        found.tail = AWAY
    check_whole(backends, found.tail)
    found.span = [message for message in found.tail.messages if visit.has(message)]
    if visit.news and (len(found.span) < visit.news or not visit.may_be_cached):
        found.span = None
    return found


async def _know_deletes(backends: Backends, found: Sequence[_Found], *, reader_id: int) -> None:
    """Look up the reader's deletes once for all conversations, where the cache does not know them.

    A client that begins anew, or reads in pages, is never told again of the deletes before its
    position, and the cache may be behind the last of them. So these are looked up as well, or told
    with the next call.

    Raises: TemporarilyUnavailable without the store: a message that may be hidden is never shown.
    """
    unsure = [each for each in found if each.tail is not None and each.tail.deletes_floor is None]
    new = [
        each
        for each in found
        if each.visit.news and (each.visit.known is None or each.visit.is_paged)
    ]
    if not unsure and not new:
        return
    try:
        known = await load_deletes(backends, reader_id)
    except TemporarilyUnavailable:
        if unsure:
            raise
        for each in new:
            each.deletes = None
        return
    for each in new:
        each.deleted = frozenset(known.message_ids)
    for each in unsure:
        each.tail = with_deletes(each.tail or AWAY, known, each.visit.conversation_id)


async def _ask_store(backends: Backends, found: Sequence[_Found], *, reader_id: int) -> None:
    """Add the spans, the changes and the deletes that are asked of the store."""
    store = backends.conversations
    spans = {each.visit.span: each for each in found if each.span is None}
    changed = {since: each for each in found if (since := each.visit.changes) is not None}
    deleted = {since: each for each in found if (since := each.visit.deletes) is not None}
    rows, changes, deletes = await asyncio.gather(
        _asked(list(spans), store.spans),
        _asked(list(changed), partial(store.changes, limit=MAX_SYNCED_CHANGES)),
        _asked(list(deleted), partial(store.deletes_since, reader_id, limit=MAX_SYNCED_DELETES)),
    )
    for span, each in spans.items():
        each.span = rows.get(span.conversation_id)
        if each.span is not None and len(each.span) < each.visit.news:
            each.span = None  # the database was put back behind what the cache knows
    for since, each in changed.items():
        each.changes = known = changes.get(since.conversation_id, [])
        each.rev = since.up_to if len(known) < MAX_SYNCED_CHANGES else known[-1].rev
        if since.conversation_id not in changes:
            each.rev = None
    for since, each in deleted.items():
        each.deletes = deletes.get(since.conversation_id)


async def _asked(
    wanted: list[Wanted], ask: Callable[[list[Wanted]], Awaitable[dict[str, Answer]]]
) -> dict[str, Answer]:
    """Return the store's answer by conversation, empty where the store is away."""
    if not wanted:
        return {}
    try:
        return await ask(wanted)
    except StoreUnavailable:
        return {}


async def _show(backends: Backends, found: _Found, *, reader_id: int) -> Window | None:
    """Return the window of a conversation; None for a reader who is out of it."""
    group_id = group_of(found.visit.conversation_id)
    try:
        if group_id is None:
            return await _window(backends, found, Reader(reader_id))
        return await read_as_member(
            backends,
            lambda reader: _window(backends, found, reader),
            group_id=group_id,
            user_id=reader_id,
            is_listed=True,
        )
    except (GroupNotFound, NotAMember):
        return None
    except TemporarilyUnavailable:
        return Window(visit=found.visit)


async def _window(backends: Backends, found: _Found, reader: Reader) -> Window:
    visit, tail = found.visit, found.tail
    listed = () if tail is None else tail.messages
    rows = [] if found.span is None else found.span
    states = await see(
        backends,
        reader.told_of(visit.entry.participant),
        visit.conversation_id,
        [message for message in (*rows, *found.changes) if message not in listed],
        tail,
    )
    states = {i: message for i, message in states.items() if i not in found.deleted}
    wanted = {message.id: message.seq or 0 for message in rows}
    in_order = sorted(wanted, key=wanted.__getitem__)
    pending = [m.id for m in reversed(listed) if m.seq is None and m.id not in wanted]
    return Window(
        visit=visit,
        messages=None if found.span is None else _of(states, in_order),
        changes=_of(states, [m.id for m in found.changes if m.id not in wanted]),
        rev=found.rev,
        deletes=found.deletes,
        pending=_of(states, pending[-PENDING_SHOWN:]),
        partial=found.lacks or (tail is not None and tail.recovering),
    )


def _of(states: Mapping[int, Message], ids: Iterable[int]) -> tuple[Message, ...]:
    return tuple(states[message_id] for message_id in ids if message_id in states)
