"""One range of a conversation, put together from the cached tail and the store's rows.

Used by the history use case. The cache is filled with whole rows, never with one reader's view.
"""

from __future__ import annotations

import contextlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from messaging.errors import CacheUnavailable, StoreUnavailable, TemporarilyUnavailable
from messaging.events import Message, join
from messaging.ports import Look, Window
from messaging.service.backends import Backends
from messaging.service.deletes import find_deleted

FILL_ROWS = 100
MOST_COUNTED = 2_000  # pending messages of a conversation that is not loaded


@dataclass(frozen=True, slots=True, kw_only=True)
class Slice:
    """What the reader may see of a range of ids, newest first, and all of that.

    Older messages lie below `next_before`; None: there are none. `partial`: a part was away, and
    messages may be missing. `total` counts the conversation's messages, deleted ones too.
    """

    messages: Sequence[Message]
    next_before: int | None
    partial: bool
    total: int


@dataclass(frozen=True, slots=True)
class SliceReader:
    """Reads a conversation for one reader."""

    backends: Backends
    conversation: str
    reader_id: int

    async def read(self, *, before: int | None, limit: int) -> Slice:
        """About `limit` messages below `before`.

        Raises TemporarilyUnavailable when neither the cache nor the store can tell.
        """
        window = await self._window(before=before, limit=limit)
        self._check_sure(window)
        try:
            if window is not None and window.floor is None and await self._fill():
                window = await self._window(before=before, limit=limit)
                self._check_sure(window)
            return await self._read(window, before=before, limit=limit)
        except StoreUnavailable as error:
            if window is None or not window.messages or window.missing:
                raise TemporarilyUnavailable from error
            return await self._of_window(window, window.messages, partial=True)

    def _check_sure(self, window: Window | None) -> None:
        """Raise TemporarilyUnavailable where the store's rows alone must not be shown."""
        unsure = window is None or window.recovering
        if unsure and self.backends.catch_up.is_behind:
            raise TemporarilyUnavailable

    async def _read(self, window: Window | None, *, before: int | None, limit: int) -> Slice:
        if window is None:
            return await self._from_store(before=before, limit=limit)
        if window.floor is None:
            return await self._not_loaded(window, before=before, limit=limit)
        if window.floor == 0 or window.end is not None:
            return await self._covered(window)
        return await self._below_floor(window, before=before, limit=limit)

    async def _window(self, *, before: int | None, limit: int) -> Window | None:
        try:
            return await self.backends.cache.window(
                self.conversation, reader_id=self.reader_id, before=before, limit=limit
            )
        except CacheUnavailable:
            return None

    async def _from_store(self, *, before: int | None, limit: int) -> Slice:
        """The cache is away: what only the log holds yet is missing, hence partial."""
        store = self.backends.store
        rows = await store.page(self.conversation, before=before, limit=limit)
        deleted = await store.deleted_among(self.reader_id, [row.id for row in rows])
        return Slice(
            messages=[row for row in rows if row.id not in deleted],
            next_before=rows[-1].id if len(rows) >= limit else None,
            partial=True,
            total=(await store.tail(self.conversation, limit=1)).total,
        )

    async def _covered(self, window: Window) -> Slice:
        """The cached tail has it all; only a detail that aged out costs a query."""
        messages: Sequence[Message] = window.messages
        if window.missing:
            rows = await self.backends.store.get(window.missing)
            await self._cache(list(rows.values()))
            messages = _newest_first({message.id: message for message in messages} | rows)
        return await self._of_window(window, messages)

    async def _of_window(
        self, window: Window, messages: Sequence[Message], *, partial: bool = False
    ) -> Slice:
        return await self._slice(
            messages,
            floor=window.deletes_floor,
            next_before=window.end,
            total=window.total,
            partial=partial or window.recovering,
        )

    async def _below_floor(self, window: Window, *, before: int | None, limit: int) -> Slice:
        """The cached tail has the upper part; the store has the rest, from the floor down."""
        assert window.floor is not None
        above = [message_id for message_id in _listed(window) if message_id > window.floor]
        start = min(before or window.floor + 1, window.floor + 1)
        wanted = max(limit - len(above), 1)
        rows = await self.backends.store.page(self.conversation, before=start, limit=wanted)
        return await self._joined(rows, wanted, window, window.total)

    async def _not_loaded(self, window: Window, *, before: int | None, limit: int) -> Slice:
        """Nothing is known to be complete, and another reader fills, or a fill cannot be exact."""
        total = await self._count()
        rows = await self.backends.store.page(self.conversation, before=before, limit=limit)
        return await self._joined(rows, limit, window, total)

    async def _count(self) -> int | None:
        """Count the rows, and the pending messages that were no rows then.

        Order: the pending ids, the number of rows, which of the ids are rows. A row has a larger
        `seq` than that number exactly if it was stored after it was read. None: so many are pending
        that nobody can count them in time.
        """
        cache, store = self.backends.cache, self.backends.store
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
        """Load the cache with the store's tail; False where another reader does."""
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

    async def _joined(
        self,
        rows: Sequence[Message],
        asked: int,
        window: Window,
        total: int | None,
    ) -> Slice:
        """The store's rows with what is listed, down to the lowest id where nothing can be missing.

        A row may be older than a recall that only the cache and the log know of. A `total` that is
        not known makes the page partial.
        """
        listed = set(_listed(window))
        look = await self._look([row.id for row in rows if row.id not in listed], window)
        states = _join(rows, window, look)
        if absent := [message_id for message_id in window.missing if message_id not in states]:
            states |= await self.backends.store.get(absent)
        end = max(window.end or 0, rows[-1].id if len(rows) >= asked else 0)
        shown = {i: m for i, m in states.items() if i >= end and i not in look.deleted}
        return await self._slice(
            _newest_first(shown),
            floor=look.deletes_floor,
            next_before=end or None,
            total=total,
            partial=window.recovering or total is None,
        )

    async def _look(self, message_ids: Sequence[int], window: Window) -> Look:
        """At these and the listed ones together: how far down are the reader's deletes known?"""
        if not message_ids:
            return Look(deletes_floor=window.deletes_floor)
        try:
            look = await self.backends.cache.look(message_ids, reader_id=self.reader_id)
        except CacheUnavailable as error:
            raise TemporarilyUnavailable from error
        if window.deletes_floor is None or look.deletes_floor is None:
            return replace(look, deletes_floor=None)
        return replace(look, deletes_floor=max(window.deletes_floor, look.deletes_floor))

    async def _slice(
        self,
        messages: Sequence[Message],
        *,
        floor: int | None,
        next_before: int | None,
        total: int | None,
        partial: bool = False,
    ) -> Slice:
        """Without those that the reader has deleted; the cache's word counts above `floor`."""
        if floor is None or (messages and messages[-1].id <= floor):
            ids = [message.id for message in messages]
            deleted = await find_deleted(self.backends, ids, reader_id=self.reader_id, floor=floor)
            messages = [message for message in messages if message.id not in deleted]
        return Slice(
            messages=messages,
            next_before=next_before,
            partial=partial,
            total=len(messages) if total is None else total,
        )

    async def _cache(self, rows: list[Message]) -> None:
        try:
            await self.backends.cache.add_details(rows)
        except CacheUnavailable:
            return


def _listed(window: Window) -> list[int]:
    return [message.id for message in window.messages] + list(window.missing)


def _join(rows: Sequence[Message], window: Window, look: Look) -> dict[int, Message]:
    """The latest states of what is a row, or listed, or both."""
    states = {row.id: row for row in rows}
    for message in (*window.messages, *look.messages.values()):
        row = states.get(message.id)
        states[message.id] = message if row is None else join(row, message)
    return states


def _newest_first(states: Mapping[int, Message]) -> list[Message]:
    return [states[message_id] for message_id in sorted(states, reverse=True)]
