"""Store message states and show them to the cache. All writes of messages go through this module.

The central rule of the service: **readers believe Redis. Therefore each change in the database is
shown to Redis, or recorded as a hint, before any client is answered.**

- *Stored*: the database has joined the states into rows (`MessageStore.apply`).
- *Shown*: Redis has the rows. The pending marks go, a tombstone replaces the content, deleted
  messages are hidden, and the id of a repeated send leads to the message that was kept.
- *Hinted*: Redis is away. A hint in the database names each row, and every process writes
  these rows to Redis before the process believes Redis again (`hints`).

`WriteThrough` stores and shows. Its callers repeat a failed call until it succeeds: the consumer
does not commit, and the compensation finds the pending mark once more. `HintedWrites` records hints
of the rows that it cannot show: its callers answer a client, and do not repeat the call.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Sequence, Set
from dataclasses import dataclass, field
from typing import Protocol

from messaging.domain.backend_errors import BadData, CacheUnavailable, StoreUnavailable
from messaging.domain.breakers import Breaker
from messaging.domain.conversations import Participant
from messaging.domain.message import Message
from messaging.pipeline.counting import count_lag, count_rows
from messaging.ports.cache import HiddenMessages, Marking, Recalls
from messaging.ports.listings import Listings
from messaging.ports.store import CacheHint, MessageStore


@dataclass(slots=True)
class Persisted:
    """Hold the outcome of a write: stored rows, duplicates, deletes and refused messages.

    `duplicates` maps the id of a repeat to the row of its first send. `refused` messages belong in
    the dead letters. `fresh`: the ids of the rows that nobody has shown to the cache before.
    """

    rows: list[Message] = field(default_factory=list)
    duplicates: dict[int, Message] = field(default_factory=dict)
    deletes: list[tuple[int, int]] = field(default_factory=list)  # user, message
    refused: list[tuple[Message, str, str]] = field(default_factory=list)  # message, reason, error
    fresh: set[int] = field(default_factory=set)

    @property
    def all_rows(self) -> list[Message]:
        """Return each row once, in the order of the ids, those of earlier sends among them."""
        rows = {row.id: row for row in (*self.duplicates.values(), *self.rows)}
        return [rows[message_id] for message_id in sorted(rows)]

    def row_of(self, message_id: int) -> Message:
        """Return the row of a message that was not refused: its own, or that of its first send."""
        kept = self.duplicates.get(message_id)
        return kept or next(row for row in self.rows if row.id == message_id)


class ShownCache(Marking, Recalls, HiddenMessages, Listings, Protocol):
    """Name the roles of the cache that showing stored messages needs."""


@dataclass(frozen=True, slots=True)
class WriteThrough:
    """Store message states, and show the resulting rows to the cache.

    Safe to repeat, and to run from several processes at once: rows and cached states are joined.
    """

    cache: ShownCache
    store: MessageStore
    path: str = field(default="direct", kw_only=True)  # of the written messages, in the counts

    async def write(self, states: Sequence[Message]) -> Persisted:
        """Store these states, then show them to the cache.

        Raises: StoreUnavailable, CacheUnavailable. Leaves: perhaps a part stored or shown.
        """
        done = await self.store_states(states)
        await self.show(done)
        return done

    async def store_states(self, states: Sequence[Message]) -> Persisted:
        """Store every state that the database takes; one under a recall mark as its tombstone.

        Raises: StoreUnavailable. Leaves: perhaps a part stored.
        """
        unrecalled = [state.id for state in states if not state.is_recalled]
        try:
            marks = await self.cache.recall_marks(unrecalled)
        except CacheUnavailable:
            marks = {}  # the RECALL event follows in the log
        return await self._persist([m.under(marks[m.id]) if m.id in marks else m for m in states])

    async def show(self, done: Persisted) -> None:
        """Show the stored rows, deletes and duplicates to the cache.

        Each delete has raised the `rev` of a participant, so the user's conversation list is
        dropped.

        The row that a repeat was deduplicated into is shown as well: the process that stored that
        row may have ended before it could show the row.

        Order: deletes before the rows that they hide. A full cache refuses the deletes, and only
        the rows make room in it: so they are shown all the same.

        Raises: CacheUnavailable: repeat the call until it succeeds. Safe to repeat.
        """
        try:
            for user_id, message_id in done.deletes:
                await self.cache.add_deletes(user_id, [message_id])
            if users := {user_id for user_id, _ in done.deletes}:
                await self.cache.forget_listings(users)
        finally:
            if rows := done.all_rows:
                await self._mark_stored(rows, done.fresh)
        if done.duplicates:
            await self.cache.mark_duplicates(done.duplicates)

    async def _mark_stored(self, rows: Sequence[Message], fresh: Set[int]) -> None:
        """Mark rows as stored in the cache; the fresh ones are counted, though the cache is away.

        Raises: CacheUnavailable.
        """
        try:
            await self.cache.mark_stored(rows)
        finally:
            count_lag(fresh, self.path)

    async def _persist(self, states: Sequence[Message], *, hinted: bool = False) -> Persisted:
        """Store these states; a refused state never prevents the others from being stored.

        A batch with bad data is halved until the bad state is alone: n poison messages among m cost
        about 2 n log2 m calls. With `hinted` the store records hints of the rows.
        """
        done = Persisted()
        parts = [list(states)] if states else []
        while parts:
            part = parts.pop()
            try:
                result = await self.store.apply(part, hinted=hinted)
            except BadData as error:
                if len(part) == 1:
                    done.refused.append((part[0], "bad_data", str(error)))
                else:
                    half = len(part) // 2
                    parts += [part[half:], part[:half]]
                continue
            done.rows += result.rows
            done.duplicates |= result.duplicates
            done.deletes += result.deletes
            done.refused += [
                (message, "id_conflict", "this id belongs to another message")
                for message in result.conflicts
            ]
            done.fresh |= result.fresh
        count_rows(done)
        return done


class Hints(Protocol):
    """Keep the hints that this process has for the cache (`hints.CacheHints`)."""

    breaker: Breaker

    async def record(self, hints: Sequence[CacheHint], *changed: Message) -> None:
        """Record these hints in the store, then wait as `deliver` does.

        Raises: StoreUnavailable. Leaves: the hints perhaps recorded.
        """

    async def deliver(self, *changed: Message) -> None:
        """Wait until the cache has the recorded hints, or until no process reads the cache."""

    async def hand_over(self, messages: Sequence[Message]) -> None:
        """Show the cache these messages now, or as soon as it is back."""


@dataclass(frozen=True, slots=True)
class HintedWrites(WriteThrough):
    """Store and show for the use cases, which answer a client: rows not shown get hints."""

    hints: Hints

    async def add(self, messages: Sequence[Message], *, hinted: bool = False) -> Persisted:
        """Store new messages; the caller shows their rows afterwards.

        With `hinted`, for a cache known to be away, the store records hints of the rows.

        Raises: StoreUnavailable.
        """
        done = await self._persist(messages, hinted=hinted)
        count_lag(done.fresh, self.path)
        return done

    async def show_row(self, row: Message) -> None:
        """Show the cache a stored row with its content, or record a hint of the row.

        Raises: StoreUnavailable when the cache is away and the row could not be recorded.
        """
        try:
            await self.cache.mark_stored([row])
            await self.cache.add_details([row])
        except CacheUnavailable:
            await self.store.record_hints([CacheHint(row.id)])
            await self.hints.hand_over([row])

    async def recall(self, tombstones: Sequence[Message], *, within_s: float) -> Persisted:
        """Store tombstones; no reader gets their content any more when this returns.

        A refused tombstone is not stored, and no hint is recorded for it.

        Raises: StoreUnavailable, also when the store takes longer than `within_s` seconds.
        Leaves: perhaps a part stored. Safe to repeat: a repeat completes the write.
        """
        hinted = not self.hints.breaker.is_closed
        try:
            async with asyncio.timeout(within_s):
                done = await self._persist(tombstones, hinted=hinted)
        except TimeoutError as error:
            raise StoreUnavailable from error
        if hinted:
            await self.hints.deliver(*done.all_rows)
            return done
        try:
            await self.show(done)
        except CacheUnavailable:
            await self.leave_hints(*done.all_rows)
        return done

    async def leave_hints(self, *tombstones: Message) -> None:
        """Record hints of stored tombstones that the cache may lack.

        Raises: StoreUnavailable.
        """
        await self.hints.record([CacheHint(each.id) for each in tombstones], *tombstones)

    async def hide(self, user_id: int, message: Message, others: Sequence[Message] = ()) -> None:
        """Hide a message from a user for ever, and the other attempts of its send with it.

        Raises: StoreUnavailable. Leaves: perhaps a part hidden. Safe to repeat: a repeat completes
        the write.
        """
        ids = [message.id, *(other.id for other in others)]
        # A message without a row may be a repeat that was deduplicated since it was read.
        repeat = message if message.seq is None else None
        hidden = await self.store.delete_for_user(
            user_id, ids, message.conversation_id, repeat=repeat
        )
        try:
            await self.cache.add_deletes(user_id, hidden)
        except CacheUnavailable:
            await self.hints.record([CacheHint(each, user_id) for each in hidden])
        with contextlib.suppress(CacheUnavailable):  # no list counts that could not be dropped
            await self.cache.forget_listings([user_id])

    async def raise_floor(self, participant: Participant, hint: CacheHint) -> None:
        """Show the cache a stored floor of a user, below which no reading shows a message then.

        `hint`: the recorded hint of this floor, which is dropped once the cache has the floor.

        Safe to repeat: a repeat completes the write.
        """
        floors = {participant.conversation_id: participant.floor}
        try:
            await self.cache.add_deletes(participant.user_id, [], floors=floors)
        except CacheUnavailable:
            await self.hints.deliver()
            return
        with contextlib.suppress(StoreUnavailable):  # a hint too many does no harm
            await self.store.drop_hints([hint])
