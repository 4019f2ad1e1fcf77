"""How the cache is told what others know better. Called by `arrears` alone.

Everything here may be done again, by several processes at once: the cache joins states.
"""

from __future__ import annotations

import asyncio
import logging
import sys
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from messaging.domain.events import Message
from messaging.pipeline.write_through import WriteThrough
from messaging.ports.cache import MessageCache
from messaging.ports.cached import Claim, PendingEntry
from messaging.ports.store import MessageStore

logger = logging.getLogger(__name__)

AT_ONCE = 500


@dataclass(frozen=True, slots=True)
class Teller:
    """Raises CacheUnavailable and StoreUnavailable, with a part told."""

    cache: MessageCache
    store: MessageStore

    @property
    def _writes(self) -> WriteThrough:
        return WriteThrough(self.cache, self.store)

    async def rows_of(self, messages: Sequence[Message]) -> dict[int, Message]:
        """What the store has of each: its row, or the one that its send was folded into."""
        rows = await self.store.find([message.id for message in messages])
        keys = {
            message: key
            for message in messages
            if message.id not in rows and (key := message.send_key) is not None
        }
        if not keys:
            return rows
        claims = await self.store.find_claims(list(dict.fromkeys(keys.values())))
        owners = {
            message.id: claim.message_id
            for message, key in keys.items()
            if (claim := claims.get(key)) and claim.body_hash == message.body_hash
        }
        found = await self.store.get(list(dict.fromkeys(owners.values()))) if owners else {}
        return rows | {i: found[owner] for i, owner in owners.items() if owner in found}

    async def tell_messages(
        self, messages: Sequence[Message], rows: Mapping[int, Message]
    ) -> list[Message]:
        """What was accepted or recalled; where `rows_of` has a row, that alone is shown.

        Returns those that repeat another send of their name, and are shown by that one.
        """
        await self._tell_rows(list({row.id: row for row in rows.values()}.values()))
        waiting = [
            message
            for message in messages
            if message.id not in rows
            # A row is noted: until the store is asked, it may have been recalled there.
            and (message.seq is None or message.is_recalled)
        ]
        repeats = await self._hold(waiting)
        for message in messages:
            await self._tell_recall(message, rows.get(message.id))
        return repeats + [m for m in messages if m.id in rows and rows[m.id].id != m.id]

    async def fold(self, repeats: Sequence[Message]) -> None:
        """Store repeats of sends, so that the store keeps which message each id leads to."""
        await self._writes.write(repeats)

    async def _hold(self, waiting: Sequence[Message]) -> list[Message]:
        """Hold these pending messages, whatever is pending already: each is acknowledged.

        Returns those whose name another send has. Such a message is not held: that send is shown
        in its place.
        """
        repeats = []
        verdicts = await self.cache.accept(waiting, None, limited=False)
        for message, verdict in zip(waiting, verdicts, strict=True):
            if verdict is None:
                continue
            if not isinstance(verdict, Claim):
                raise AssertionError(f"a limit on what is acknowledged: {verdict}")
            if verdict.body_hash != message.body_hash:
                logger.warning(
                    "an acknowledged send reuses a clientMsgId; readers see it once it is stored",
                    extra={"action": "arrears.reused", "message_id": message.id},
                )
                continue
            # The id was told to a client, who may ask for it before the store has folded it.
            await self.cache.add_alias(message.id, verdict.message_id)
            repeats.append(message)
        return repeats

    async def _tell_recall(self, message: Message, row: Message | None) -> None:
        """If it is one of which the store does not know yet."""
        if message.recall_time is not None and not (row and row.is_recalled):
            tombstone = row.recalled(message.recall_time) if row else message
            await self.cache.claim_recall(tombstone.id, message.recall_time)
            await self.cache.confirm_recall(tombstone)

    async def tell_noted(self) -> None:
        """What is noted in the store, which forgets it then."""
        while noted := await self.store.arrears(limit=AT_ONCE):
            deletes: dict[int, list[int]] = defaultdict(list)
            for arrear in noted:
                if arrear.user_id is not None:
                    deletes[arrear.user_id].append(arrear.message_id)
            await self._tell_ids(sorted({a.message_id for a in noted if a.user_id is None}))
            for user_id, message_ids in deletes.items():
                await self.cache.add_deletes(user_id, message_ids)
            await self.store.drop_arrears(noted)
            logger.info("told the cache", extra={"action": "arrears.told", "count": len(noted)})

    async def tell_what_became_of(self, recalled: Sequence[int]) -> None:
        """Of these, and of what the cache holds as pending: what the store has of them.

        It may have been recalled there.
        """
        last: PendingEntry | None = None
        while page := await self.cache.pending(before_ms=sys.maxsize, limit=AT_ONCE, after=last):
            await self._tell_ids([entry.message_id for entry in page])
            last = page[-1]
        for first in range(0, len(recalled), AT_ONCE):
            await self._tell_ids(recalled[first : first + AT_ONCE])

    async def _tell_ids(self, message_ids: Sequence[int]) -> None:
        found = await self.store.find(message_ids)
        await self._tell_rows(
            list({row.id: row for row in found.values()}.values()),
            {i: row for i, row in found.items() if row.id != i},
        )

    async def _tell_rows(
        self, rows: Sequence[Message], folded: Mapping[int, Message] | None = None
    ) -> None:
        """Show them, each in place of an attempt of its send that the cache has accepted.

        The store folds that attempt into the row, with whatever was done to it meanwhile. `folded`
        are attempts of which it is known before that they go there.
        """
        if not rows:
            return
        await self.cache.mark_stored(rows)
        named = [row for row in rows if row.client_msg_id is not None]
        claims = await asyncio.gather(*(self.cache.claim(row) for row in named))
        attempts = dict(folded or {}) | {
            claim.message_id: row
            for row, claim in zip(named, claims, strict=True)
            if claim is not None and claim.body_hash == row.body_hash
        }
        if attempts:
            held = await self.cache.get(list(attempts))
            await self._writes.write(list(held.values()))
            await self.cache.mark_folded(attempts)
