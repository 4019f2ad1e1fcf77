"""Read a range of a conversation by joining the cached tail with the store's rows.

Used by the history use case. The cache is filled with whole rows, never with one reader's view.
"""

from __future__ import annotations

import contextlib
from collections.abc import Sequence
from dataclasses import dataclass, replace

from messaging.domain.errors import CacheUnavailable, StoreUnavailable, TemporarilyUnavailable
from messaging.domain.events import ID_MAX, Message, join
from messaging.ports.cached import Look, Window
from messaging.service.backends import Backends
from messaging.service.deletes import find_deleted

FILL_ROWS = 100
MOST_COUNTED = 2_000  # pending messages of a conversation whose tail is not cached
AWAY = Window(deletes_floor=ID_MAX, recovering=True)
"""Stand for a cache that does not answer: no message is listed, no delete of the reader known."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Slice:
    """Hold all messages of a range of ids that the reader may see, newest first.

    `next_before` is the id below which older messages lie; None: there are none. `partial`: a
    backend was away or the total is not known, and messages may be missing. `total` counts the
    conversation's messages, deleted ones too.
    """

    messages: Sequence[Message]
    next_before: int | None
    partial: bool
    total: int


@dataclass(frozen=True, slots=True)
class SliceReader:
    """Read slices of a conversation for one reader."""

    backends: Backends
    conversation: str
    reader_id: int

    async def read(self, *, before: int | None, limit: int) -> Slice:
        """Return about `limit` messages below `before`.

        Raises: TemporarilyUnavailable when neither the cache nor the store can answer.
        """
        window = await self._window(before=before, limit=limit)
        try:
            if window.floor is None and await self._fill():
                window = await self._window(before=before, limit=limit)
            return await self._join(window, before=before, limit=limit)
        except StoreUnavailable as error:
            if not window.messages or window.missing:
                raise TemporarilyUnavailable from error
            look = Look(deletes_floor=window.deletes_floor)
            return await self._slice(
                window.messages, look, next_before=window.end, total=window.total, partial=True
            )

    async def _window(self, *, before: int | None, limit: int) -> Window:
        """Return the messages that the cache lists; AWAY when the cache does not answer.

        Raises: TemporarilyUnavailable where the store's rows alone must not be shown.
        """
        try:
            window = await self.backends.cache.window(
                self.conversation, reader_id=self.reader_id, before=before, limit=limit
            )
        except CacheUnavailable:
            window = AWAY
        if window.recovering and self.backends.catch_up.is_behind:
            raise TemporarilyUnavailable
        return window

    async def _join(self, window: Window, *, before: int | None, limit: int) -> Slice:
        """Join the listed messages with the rows that the cached list does not cover.

        The slice ends at the lowest id above which no message can be missing. A row may lack a
        recall that only the cache and the log have, so rows are joined with the cached states. An
        unknown total makes the slice partial.
        """
        store = self.backends.store
        total = window.total if window.floor is not None else await self._count(window)
        start, wanted = _uncovered(window, before=before, limit=limit)
        rows = await store.page(self.conversation, before=start, limit=wanted) if wanted else []
        look = await self._look(rows, window)
        states = _latest(rows, window, look)
        if absent := [message_id for message_id in window.missing if message_id not in states]:
            found = await store.get(absent)
            await self._cache(list(found.values()))
            states |= found
        end = max(window.end or 0, rows[-1].id if rows and len(rows) >= wanted else 0)
        return await self._slice(
            [states[i] for i in sorted(states, reverse=True) if i >= end],
            look,
            next_before=end or None,
            total=total,
            partial=window.recovering or total is None,
        )

    async def _count(self, window: Window) -> int | None:
        """Count the conversation's rows, and its pending messages that have no row yet.

        Order: read the pending ids, then the number of rows, then the rows of the pending ids. A
        row with a `seq` larger than that number was stored after the number was read, and is not
        among the counted rows. Return None when too many messages are pending to count them in
        time, and when the cache is lost in between. A cache that was away before leaves the rows
        alone to be counted.
        """
        cache, store = self.backends.cache, self.backends.store
        if window is AWAY:
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
        try:
            token = await cache.begin_fill(self.conversation)
        except CacheUnavailable:
            token = None
        if token is None:
            return False
        tail = await store.tail(self.conversation, limit=FILL_ROWS)
        complete = len(tail.rows) < FILL_ROWS
        floor = 0 if complete else tail.rows[-1].id - 1
        base = 0 if complete else tail.total - len(tail.rows)
        with contextlib.suppress(CacheUnavailable):
            await cache.fill(self.conversation, token, tail.rows, floor=floor, base=base)
        return True

    async def _look(self, rows: Sequence[Message], window: Window) -> Look:
        """Return the cached states and the reader's deletes for rows that the cache does not list.

        The deletes floor of the answer is valid for these rows and the listed messages together.

        Raises: TemporarilyUnavailable when the cache is lost in between.
        """
        listed = set(_listed(window))
        unlisted = [row.id for row in rows if row.id not in listed]
        if window is AWAY or not unlisted:
            return Look(deletes_floor=window.deletes_floor)
        try:
            look = await self.backends.cache.look(unlisted, reader_id=self.reader_id)
        except CacheUnavailable as error:
            raise TemporarilyUnavailable from error
        if window.deletes_floor is None or look.deletes_floor is None:
            return replace(look, deletes_floor=None)
        return replace(look, deletes_floor=max(window.deletes_floor, look.deletes_floor))

    async def _slice(
        self,
        messages: Sequence[Message],
        look: Look,
        *,
        next_before: int | None,
        total: int | None,
        partial: bool,
    ) -> Slice:
        """Build the slice without the messages that the reader has deleted.

        Above the deletes floor the cache knows all deletes; at or below it they are looked up in
        the store.
        """
        floor = look.deletes_floor
        shown = [message for message in messages if message.id not in look.deleted]
        if floor is None or (shown and shown[-1].id <= floor):
            ids = [message.id for message in shown]
            deleted = await find_deleted(self.backends, ids, reader_id=self.reader_id, floor=floor)
            shown = [message for message in shown if message.id not in deleted]
        return Slice(
            messages=shown,
            next_before=next_before,
            partial=partial,
            total=len(shown) if total is None else total,
        )

    async def _cache(self, rows: list[Message]) -> None:
        try:
            await self.backends.cache.add_details(rows)
        except CacheUnavailable:
            return


def _listed(window: Window) -> list[int]:
    return [message.id for message in window.messages] + list(window.missing)


def _uncovered(window: Window, *, before: int | None, limit: int) -> tuple[int | None, int]:
    """Return below which id, and how many, rows the store must add to the cached list.

    The number is 0 where the list covers the whole slice.
    """
    if window.floor is None:
        return before, limit
    if window.floor == 0 or window.end is not None:
        return None, 0
    above = sum(1 for message_id in _listed(window) if message_id > window.floor)
    start = window.floor + 1
    return min(before or start, start), max(limit - above, 1)


def _latest(rows: Sequence[Message], window: Window, look: Look) -> dict[int, Message]:
    """Return by id the latest state of each message that is a row, or listed, or both."""
    states = {row.id: row for row in rows}
    for message in (*window.messages, *look.messages.values()):
        row = states.get(message.id)
        states[message.id] = message if row is None else join(row, message)
    return states
