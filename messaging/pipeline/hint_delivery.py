"""Write to the cache what the store, or this process, knows and the cache lacks.

Called by `hints` and `kept_messages`. Safe to repeat, also by several processes at once: the cache
joins states.
"""

from __future__ import annotations

import asyncio
import logging
import sys
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from messaging.domain.message import Message
from messaging.pipeline.write_through import WriteThrough
from messaging.ports.cache import MessageCache
from messaging.ports.cached import IdempotencyRecord, PendingEntry
from messaging.ports.store import MessageStore

logger = logging.getLogger(__name__)

AT_ONCE = 500


@dataclass(frozen=True, slots=True)
class HintDelivery:
    """Write messages, rows and recorded hints to the cache.

    Raises: CacheUnavailable, StoreUnavailable. Leaves: a part written.
    """

    cache: MessageCache
    store: MessageStore

    @property
    def _writes(self) -> WriteThrough:
        return WriteThrough(self.cache, self.store)

    async def rows_of(self, messages: Sequence[Message]) -> dict[int, Message]:
        """Return by id the row of each message, or the row that its send was deduplicated into."""
        rows = await self.store.find([message.id for message in messages])
        keys = {
            message: key
            for message in messages
            if message.id not in rows and (key := message.send_key) is not None
        }
        if not keys:
            return rows
        records = await self.store.find_idempotency_records(list(dict.fromkeys(keys.values())))
        owners = {
            message.id: record.message_id
            for message, key in keys.items()
            if (record := records.get(key)) and record.body_hash == message.body_hash
        }
        found = await self.store.get(list(dict.fromkeys(owners.values()))) if owners else {}
        return rows | {i: found[owner] for i, owner in owners.items() if owner in found}

    async def show_messages(
        self, messages: Sequence[Message], rows: Mapping[int, Message]
    ) -> list[Message]:
        """Show the cache these accepted or recalled messages.

        A message with a row in `rows` (from `rows_of`) is shown as that row alone. Return the
        messages that repeat another send of their clientMsgId: that send is shown in their place.
        """
        await self.show_rows(list({row.id: row for row in rows.values()}.values()))
        waiting = [
            message
            for message in messages
            if message.id not in rows
            # A stored message has a recorded hint, and may be recalled in the store:
            # `deliver_recorded` shows the message's row.
            and (message.seq is None or message.is_recalled)
        ]
        repeats = await self._hold(waiting)
        for message in messages:
            await self._show_recall(message, rows.get(message.id))
        return repeats + [m for m in messages if m.id in rows and rows[m.id].id != m.id]

    async def store_repeats(self, repeats: Sequence[Message]) -> None:
        """Store repeats of sends, so that the store keeps the message that each id leads to.

        A repeat that is the first attempt in the store becomes the row, and the attempt that the
        cache shows is deduplicated into it.
        """
        done = await self._writes.write(repeats)
        await self.show_rows(done.rows)

    async def _hold(self, waiting: Sequence[Message]) -> list[Message]:
        """Write pending messages to the cache without limits, as each one is acknowledged.

        Return the messages whose clientMsgId another send with the same body has. Such a message
        is not written: the other send is shown in its place.
        """
        repeats = []
        verdicts = await self.cache.accept(waiting, None, limited=False)
        for message, verdict in zip(waiting, verdicts, strict=True):
            if verdict is None:
                continue
            if not isinstance(verdict, IdempotencyRecord):
                raise AssertionError(f"a limit on what is acknowledged: {verdict}")
            if verdict.body_hash != message.body_hash:
                logger.warning(
                    "an acknowledged send reuses a clientMsgId; readers see it once it is stored",
                    extra={"action": "hints.reused", "message_id": message.id},
                )
                continue
            # A client has this id, and may ask for it before the message is deduplicated.
            await self.cache.add_alias(message.id, verdict.message_id)
            repeats.append(message)
        return repeats

    async def _show_recall(self, message: Message, row: Message | None) -> None:
        """Write a message's recall to the cache, if the store does not have the recall yet."""
        if message.recall is not None and not (row and row.is_recalled):
            tombstone = row.under(message.recall) if row else message
            await self.cache.set_recall_mark(tombstone.id, message.recall)
            await self.cache.confirm_recall(tombstone)

    async def deliver_recorded(self) -> None:
        """Write the hints recorded in the store to the cache, then drop the hints."""
        while hints := await self.store.hints(limit=AT_ONCE):
            deletes: dict[int, list[int]] = defaultdict(list)
            for hint in hints:
                if hint.user_id is not None:
                    deletes[hint.user_id] += [hint.message_id] if hint.message_id else []
            for user_id, message_ids in deletes.items():
                floors = await self.store.floors_of(user_id)
                await self.cache.add_deletes(user_id, message_ids, floors=floors)
            await self.cache.forget_listings(deletes)  # their participants have changed
            # The cache may list another attempt of a deleted row's send, which nobody could find.
            await self._show_ids(sorted({hint.message_id for hint in hints} - {0}))
            await self.store.drop_hints(hints)
            logger.info("hints delivered", extra={"action": "hints.delivered", "count": len(hints)})

    async def refresh_pending(self) -> None:
        """Show the cache the stored rows of all pending ids, and of all ids under a recall mark.

        A row may have been recalled in the store since the cache got the message.
        """
        last: PendingEntry | None = None
        while page := await self.cache.pending(before_ms=sys.maxsize, limit=AT_ONCE, after=last):
            await self._show_ids([entry.message_id for entry in page])
            last = page[-1]
        recalled = await self.cache.marked()
        for first in range(0, len(recalled), AT_ONCE):
            await self._show_ids(recalled[first : first + AT_ONCE])

    async def _show_ids(self, message_ids: Sequence[int]) -> None:
        found = await self.store.find(message_ids)
        await self.show_rows(
            list({row.id: row for row in found.values()}.values()),
            {i: row for i, row in found.items() if row.id != i},
        )

    async def show_rows(
        self, rows: Sequence[Message], duplicates: Mapping[int, Message] | None = None
    ) -> None:
        """Show the cache these rows, each in place of another attempt of its send.

        An attempt that the cache has accepted is stored, so that the store deduplicates it into the
        row, with any recall or delete of the attempt. `duplicates` maps ids of attempts to rows
        that the store has deduplicated them into already.
        """
        if not rows:
            return
        await self.cache.mark_stored(rows)
        named = [row for row in rows if row.client_msg_id is not None]
        records = await asyncio.gather(*(self.cache.add_idempotency_record(row) for row in named))
        attempts = dict(duplicates or {}) | {
            record.message_id: row
            for row, record in zip(named, records, strict=True)
            if record is not None and record.body_hash == row.body_hash
        }
        if attempts:
            held = await self.cache.get(list(attempts))
            await self._writes.write(list(held.values()))
            await self.cache.mark_duplicates(attempts)
