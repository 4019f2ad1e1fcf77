"""One range of a conversation, put together from the cached tail and the store's rows.

Used by the history use case. The cache is filled with whole rows, never with one reader's view.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from messaging.errors import CacheUnavailable, StoreUnavailable, TemporarilyUnavailable
from messaging.events import Message, join
from messaging.ports import Tail, Window
from messaging.service.backends import Backends

FILL_ROWS = 100
DELETES_LOADED = 1_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Slice:
    """All messages of a range of ids, newest first.

    `deleted` are the ids among them that the reader has deleted. Older ones lie below
    `next_before`; None: there are none. `partial`: a part was away, and messages may be missing.
    """

    messages: tuple[Message, ...]
    deleted: frozenset[int]
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
        try:
            if window is None:
                return await self._from_store(before=before, limit=limit)
            if window.floor is None:
                return await self._listed_and_stored(window, before=before, limit=limit)
            if window.floor == 0 or len(_listed(window)) >= limit:
                return await self._covered(window)
            return await self._below_floor(window, before=before, limit=limit)
        except StoreUnavailable as error:
            if window is None or not window.messages or window.missing:
                raise TemporarilyUnavailable from error
            return await self._cached_part(window)

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
        return Slice(
            messages=tuple(rows),
            deleted=frozenset(await store.deleted_among(self.reader_id, [r.id for r in rows])),
            next_before=rows[-1].id if len(rows) >= limit else None,
            partial=True,
            total=(await store.tail(self.conversation, limit=1)).total,
        )

    async def _covered(self, window: Window) -> Slice:
        """The cached tail has it all; only a detail that aged out costs a query."""
        states = {message.id: message for message in window.messages}
        if window.missing:
            rows = await self.backends.store.get(window.missing)
            await self._cache(list(rows.values()))
            states |= rows
        return await self._slice(states, window, next_before=_end(window))

    async def _below_floor(self, window: Window, *, before: int | None, limit: int) -> Slice:
        """The cached tail has the upper part; the store has the rest, from the floor down."""
        assert window.floor is not None
        above = [message_id for message_id in _listed(window) if message_id > window.floor]
        start = min(before or window.floor + 1, window.floor + 1)
        wanted = max(limit - len(above), 1)
        rows = await self.backends.store.page(self.conversation, before=start, limit=wanted)
        states = await self._join(rows, window)
        return await self._cut(states, rows, wanted, window)

    async def _listed_and_stored(self, window: Window, *, before: int | None, limit: int) -> Slice:
        """Nothing is known to be complete; at the top, that is changed for the next reader."""
        if before is not None:
            rows = await self.backends.store.page(self.conversation, before=before, limit=limit)
            stored = await self.backends.store.tail(self.conversation, limit=1)
            states = await self._join(rows, window)
            return await self._cut(states, rows, limit, window, stored)
        tail = await self._fill()
        states = await self._join(tail.rows, window)
        filled = await self._window(before=None, limit=1)
        total = filled.total if filled is not None else None
        return await self._cut(states, tail.rows, FILL_ROWS, window, tail, total)

    async def _fill(self) -> Tail:
        """Read the store's tail and load the cache with it, unless another reader does."""
        cache, store = self.backends.cache, self.backends.store
        try:
            token = await cache.begin_fill(self.conversation)
        except CacheUnavailable:
            token = None
        tail = await store.tail(self.conversation, limit=FILL_ROWS)
        if token is None:
            return tail
        complete = len(tail.rows) < FILL_ROWS
        floor = 0 if complete else tail.rows[-1].id - 1
        base = 0 if complete else tail.total - len(tail.rows)
        try:
            await cache.fill(self.conversation, token, tail.rows, floor=floor, base=base)
        except CacheUnavailable:
            return tail
        return tail

    async def _join(self, rows: Sequence[Message], window: Window) -> dict[int, Message]:
        """The rows at their latest state, with what is listed beside them.

        A row may be older than a recall that only the cache and the log know of.
        """
        states = {row.id: row for row in rows}
        cached = {message.id: message for message in window.messages}
        unlisted = [row.id for row in rows if row.id not in cached and not row.is_recalled]
        if unlisted:
            try:
                cached |= await self.backends.cache.get(unlisted)
            except CacheUnavailable as error:
                raise TemporarilyUnavailable from error
        for message_id, message in cached.items():
            row = states.get(message_id)
            states[message_id] = message if row is None else join(row, message)
        absent = [message_id for message_id in window.missing if message_id not in states]
        return states | (await self.backends.store.get(absent) if absent else {})

    async def _cut(
        self,
        states: Mapping[int, Message],
        rows: Sequence[Message],
        asked: int,
        window: Window,
        stored: Tail | None = None,
        total: int | None = None,
    ) -> Slice:
        """Keep what lies above the lowest id down to which nothing can be missing."""
        end = max(_end(window) or 0, rows[-1].id if len(rows) >= asked else 0)
        kept = {i: message for i, message in states.items() if i >= end}
        if total is None and stored is not None:
            total = stored.total + sum(1 for message in states.values() if message.seq is None)
        return await self._slice(kept, window, next_before=end or None, total=total)

    async def _cached_part(self, window: Window) -> Slice:
        """The store is away: what is cached, and the word that it may not be all."""
        states = {message.id: message for message in window.messages}
        return await self._slice(states, window, next_before=_end(window), partial=True)

    async def _slice(
        self,
        states: Mapping[int, Message],
        window: Window,
        *,
        next_before: int | None,
        total: int | None = None,
        partial: bool = False,
    ) -> Slice:
        known = total if total is not None else window.total
        return Slice(
            messages=tuple(states[i] for i in sorted(states, reverse=True)),
            deleted=await self._deleted(sorted(states), window),
            next_before=next_before,
            partial=partial,
            total=known if known is not None else len(states),
        )

    async def _deleted(self, ids: Sequence[int], window: Window) -> frozenset[int]:
        """The reader's deletes among these ids: out of the cache where that is complete."""
        floor = window.deletes_floor
        if not ids or (floor is not None and ids[0] > floor and set(ids) <= set(_listed(window))):
            return window.deleted
        store, cache = self.backends.store, self.backends.cache
        try:
            deleted = frozenset(await store.deleted_among(self.reader_id, ids))
            if floor is None:
                known = await store.deletes_of(self.reader_id, limit=DELETES_LOADED)
                await cache.add_deletes(self.reader_id, known.message_ids, floor=known.floor)
        except StoreUnavailable as error:  # never show what may be deleted
            raise TemporarilyUnavailable from error
        except CacheUnavailable:
            return deleted
        return deleted

    async def _cache(self, rows: list[Message]) -> None:
        try:
            await self.backends.cache.add_details(rows)
        except CacheUnavailable:
            return


def _listed(window: Window) -> list[int]:
    return [message.id for message in window.messages] + list(window.missing)


def _end(window: Window) -> int | None:
    """The lowest id down to which the list was read, where it goes on."""
    return min(_listed(window)) if window.truncated else None
