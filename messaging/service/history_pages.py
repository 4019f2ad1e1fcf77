"""Read a range of a conversation by joining the cached tail with the store's rows.

Used by the history use case. The cache is filled with whole rows, never with one reader's view.
"""

from __future__ import annotations

import contextlib
from collections.abc import Sequence
from dataclasses import dataclass, replace

from messaging.domain.backend_errors import CacheUnavailable, StoreUnavailable
from messaging.domain.errors import TemporarilyUnavailable
from messaging.domain.message import ID_MAX, Message, join
from messaging.ports.cached import CachedTail, ReaderView
from messaging.service.backends import Backends
from messaging.service.confirming import confirm_access
from messaging.service.hidden_messages import find_hidden
from messaging.service.visibility import Reader

FILL_ROWS = 100
MOST_COUNTED = 2_000  # pending messages of a conversation whose tail is not cached
AWAY = CachedTail(deletes_floor=ID_MAX, recovering=True)
"""Stand for a cache that does not answer: no message is listed, no delete of the reader known."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PagePart:
    """Hold all messages of a range of ids that the reader may see, newest first.

    `next_before` is the id below which older messages lie; None: there are none. `partial`: a
    backend was away or the total is not known, and messages may be missing. `total` counts the
    conversation's messages above the reader's floor, deleted ones too.
    """

    messages: Sequence[Message]
    next_before: int | None
    partial: bool
    total: int


@dataclass(slots=True)
class PageReader:
    """Read parts of a conversation for one reader.

    `reader`: above the floor that the parts read so far have told.
    `ready`: the newest tail, where it was read for many conversations at once. The first part is
    made of it, so its limit is the one of that part.
    `has_rows`: rows were read after the guard was asked last.
    `asked_store`: some part needed rows that the cache does not list.
    """

    backends: Backends
    conversation: str
    reader: Reader
    ready: CachedTail | None = None
    has_rows: bool = False
    asked_store: bool = False

    async def read(self, *, before: int | None, limit: int) -> PagePart:
        """Return about `limit` messages below `before`.

        Raises: TemporarilyUnavailable when neither the cache nor the store can answer;
        RightsDoubted as `Reader.heed` does.
        """
        tail = await self._cached_tail(before=before, limit=limit)
        try:
            if tail.floor is None and await self._fill():
                tail = await self._cached_tail(before=before, limit=limit)
            return await self._join(tail, before=before, limit=limit)
        except StoreUnavailable as error:
            if not tail.messages or tail.missing:
                raise TemporarilyUnavailable from error
            view = ReaderView(deletes_floor=tail.deletes_floor)
            return await self._make_part(
                tail.messages, view, next_before=tail.end, total=tail.total, partial=True
            )

    async def confirm(self) -> None:
        """Check, once all parts are read, that no right has shrunk before their rows were read.

        Raises: as `confirm_access` does.
        """
        if self.has_rows:
            await confirm_access(self.backends, self.conversation, self.reader)

    async def _cached_tail(self, *, before: int | None, limit: int) -> CachedTail:
        """Return the messages that the cache lists; AWAY when the cache does not answer.

        Raises: TemporarilyUnavailable where the store's rows alone must not be shown.
        """
        tail, self.ready = self.ready, None
        try:
            tail = tail or await self.backends.cache.cached_tail(
                self.conversation, reader_id=self.reader.user_id, before=before, limit=limit
            )
        except CacheUnavailable:
            tail = AWAY
        self.reader.heed(None if tail is AWAY else tail.guard)
        self.has_rows &= tail is AWAY
        self.reader = self.reader.above(tail.cleared)
        if tail.recovering and self.backends.catch_up.is_behind:
            raise TemporarilyUnavailable
        return tail

    async def _join(self, tail: CachedTail, *, before: int | None, limit: int) -> PagePart:
        """Join the listed messages with the rows that the cached list does not cover.

        The part ends at the lowest id above which no message can be missing. A row may lack a
        recall that only the cache and the log have, so rows are joined with the cached states. An
        unknown total makes the part partial.
        """
        store = self.backends.store
        total = tail.total if tail.floor is not None else await self._count(tail)
        start, wanted = _uncovered(tail, before=before, limit=limit)
        rows = await store.page(self.conversation, before=start, limit=wanted) if wanted else []
        view = await self._reader_view(rows, tail)
        states = _latest(rows, tail, view)
        if absent := [message_id for message_id in tail.missing if message_id not in states]:
            found = await store.get(absent)
            with contextlib.suppress(CacheUnavailable):
                await self.backends.cache.add_details(list(found.values()))
            states |= found
        self.has_rows = bool(wanted or absent)
        self.asked_store |= self.has_rows
        end = max(tail.end or 0, rows[-1].id if rows and len(rows) >= wanted else 0)
        return await self._make_part(
            [states[i] for i in sorted(states, reverse=True) if i >= end],
            view,
            next_before=end or None,
            total=total,
            partial=tail.recovering or total is None,
        )

    async def _count(self, tail: CachedTail) -> int | None:
        """Count the conversation's rows, and its pending messages that have no row yet.

        Order: read the pending ids, then the number of rows, then the rows of the pending ids. A
        row with a `seq` larger than that number was stored after the number was read, and is not
        among the counted rows. Return None when too many messages are pending to count them in
        time, and when the cache is lost in between. A cache that was away before leaves the rows
        alone to be counted.
        """
        cache, store = self.backends.cache, self.backends.store
        if tail is AWAY:
            return (await store.tail(self.conversation, limit=1)).total
        try:
            waiting = await cache.waiting(self.conversation, limit=MOST_COUNTED + 1)
        except CacheUnavailable:
            return None
        if len(waiting) > MOST_COUNTED:
            return None
        stored = (await store.tail(self.conversation, limit=1)).total
        rows = await store.get(waiting) if waiting else {}
        counted = {i for i, row in rows.items() if row.seq is not None and row.seq <= stored}
        return stored + len(waiting) - len(counted)

    async def _fill(self) -> bool:
        """Load the store's tail into the cache; False when the cache gives no token for it.

        Another reader is loading the tail then, or the cache is away.
        """
        cache, store = self.backends.cache, self.backends.store
        token = None
        with contextlib.suppress(CacheUnavailable):
            token = await cache.begin_fill(self.conversation)
        if token is None:
            return False
        self.asked_store = True
        tail = await store.tail(self.conversation, limit=FILL_ROWS)
        complete = len(tail.rows) < FILL_ROWS
        floor = 0 if complete else tail.rows[-1].id - 1
        base = 0 if complete else tail.total - len(tail.rows)
        with contextlib.suppress(CacheUnavailable):
            await cache.fill(self.conversation, token, tail.rows, floor=floor, base=base)
        return True

    async def _reader_view(self, rows: Sequence[Message], tail: CachedTail) -> ReaderView:
        """Return the cached states and the reader's deletes for rows that the cache does not list.

        The deletes floor of the answer is valid for these rows and the listed messages together.

        Raises: TemporarilyUnavailable when the cache is lost in between.
        """
        listed = set(_listed(tail))
        unlisted = [row.id for row in rows if row.id not in listed]
        if tail is AWAY or not unlisted:
            return ReaderView(deletes_floor=tail.deletes_floor)
        try:
            view = await self.backends.cache.reader_view(unlisted, reader_id=self.reader.user_id)
        except CacheUnavailable as error:
            raise TemporarilyUnavailable from error
        if tail.deletes_floor is None or view.deletes_floor is None:
            return replace(view, deletes_floor=None)
        return replace(view, deletes_floor=max(tail.deletes_floor, view.deletes_floor))

    async def _make_part(
        self,
        messages: Sequence[Message],
        view: ReaderView,
        *,
        next_before: int | None,
        total: int | None,
        partial: bool,
    ) -> PagePart:
        """Build the part of the messages that the reader may see; it ends at the reader's floor.

        Above the deletes floor the cache knows all deletes; at or below it they are looked up in
        the store.
        """
        shown = [each for each in messages if each.id not in view.deleted]
        if shown or total != 0:
            deleted = await self.find_hidden([each.id for each in shown], view.deletes_floor)
            shown = [each for each in shown if self.reader.may_see(each.id, deleted)]
        ends = next_before is not None and not self.reader.may_see(next_before - 1)
        return PagePart(
            messages=shown,
            next_before=None if ends else next_before,
            partial=partial,
            total=max(len(shown), (total or 0) - self.reader.floor.seq),
        )

    async def find_hidden(self, message_ids: Sequence[int], deletes_floor: int | None) -> set[int]:
        """Learn the reader's floor, and return which of these ids the reader has deleted.

        Raises: TemporarilyUnavailable, as `hidden_messages.find_hidden` does.
        """
        self.reader, deleted = await find_hidden(
            self.backends,
            self.conversation,
            message_ids,
            reader=self.reader,
            deletes_floor=deletes_floor,
        )
        return deleted


def _listed(tail: CachedTail) -> list[int]:
    return [message.id for message in tail.messages] + list(tail.missing)


def _uncovered(tail: CachedTail, *, before: int | None, limit: int) -> tuple[int | None, int]:
    """Return below which id, and how many, rows the store must add to the cached list.

    The number is 0 where the list covers the whole part.
    """
    if tail.floor is None:
        return before, limit
    if tail.floor == 0 or tail.end is not None:
        return None, 0
    above = sum(1 for message_id in _listed(tail) if message_id > tail.floor)
    start = tail.floor + 1
    return min(before or start, start), max(limit - above, 1)


def _latest(rows: Sequence[Message], tail: CachedTail, view: ReaderView) -> dict[int, Message]:
    """Return by id the latest state of each message that is a row, or listed, or both."""
    states = {row.id: row for row in rows}
    for message in (*tail.messages, *view.messages.values()):
        row = states.get(message.id)
        states[message.id] = message if row is None else join(row, message)
    return states
