"""Keep the store in memory, under the same contract as the database.

Faults are plain attributes. Nothing survives the process, so no running site may use this store.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from messaging.domain.conversations import Floor
from messaging.domain.message import Message
from messaging.ports.cache_service import LeaseRequest
from messaging.ports.cached import IdempotencyRecord
from messaging.ports.log import Position
from messaging.ports.store import CacheHint, DeadLetter, DeadLetterState, Deletes, Tail
from messaging.testing.store_apply import MemoryApplying


@dataclass(eq=False, slots=True)
class MemoryStore(MemoryApplying):
    """Implement `ports.store.MessageStore`; the fields are the tables, for a test to read.

    `down`: every call fails as in an outage.
    `delay_s`: how long each call takes.
    `refuses`: tells which messages are bad data.
    """

    async def get(self, message_ids: Sequence[int]) -> dict[int, Message]:
        await self._answer()
        return {i: self.rows[i] for i in message_ids if i in self.rows}

    async def find(self, message_ids: Sequence[int]) -> dict[int, Message]:
        await self._answer()
        rows = {i: self.rows.get(i) or self.rows.get(self.aliases.get(i, 0)) for i in message_ids}
        return {i: row for i, row in rows.items() if row is not None}

    async def page(self, conversation_id: str, *, before: int | None, limit: int) -> list[Message]:
        await self._answer()
        return self._newest(conversation_id, before)[:limit]

    async def nth_visible(
        self, conversation_id: str, *, reader_id: int, before: int, count: int, above: int = 0
    ) -> int | None:
        await self._answer()
        ids = [message.id for message in self._newest(conversation_id, before)]
        visible = [i for i in ids if i > above and (reader_id, i) not in self.deletes]
        return visible[count - 1] if len(visible) >= count else None

    async def tail(self, conversation_id: str, *, limit: int) -> Tail:
        rows = await self.page(conversation_id, before=None, limit=limit)
        return Tail(tuple(rows), self.head(conversation_id).last_seq)

    async def delete_for_user(
        self,
        user_id: int,
        message_ids: Sequence[int],
        conversation_id: str,
        *,
        repeat: Message | None = None,
    ) -> list[int]:
        await self._answer()
        for each in sorted(message_ids):
            self.delete(user_id, each, conversation_id)
        if repeat is None:
            return list(message_ids)
        await self._answer()  # between the statements: a failure, a deduplication
        if (key := repeat.send_key) is None:
            return list(message_ids)
        record = self.idempotency_records.setdefault(key, IdempotencyRecord.of(repeat))
        if record.message_id == repeat.id:
            return list(message_ids)
        self.delete(user_id, record.message_id, conversation_id)
        return [*message_ids, record.message_id]

    async def deleted_among(self, user_id: int, message_ids: Sequence[int]) -> set[int]:
        await self._answer()
        return {i for i in message_ids if (user_id, i) in self.deletes}

    async def deletes_of(self, user_id: int, *, limit: int) -> Deletes:
        await self._answer()
        ids = sorted((i for user, i in self.deletes if user == user_id), reverse=True)
        floor = ids[limit] if len(ids) > limit else 0
        return Deletes(tuple(ids[:limit]), floor, self._floors_of(user_id))

    async def floors_of(
        self, user_id: int, conversation_id: str | None = None
    ) -> Mapping[str, Floor]:
        await self._answer()
        floors = self._floors_of(user_id)
        return {i: floors[i] for i in floors if conversation_id in (i, None)}

    async def record_hints(self, hints: Sequence[CacheHint]) -> None:
        await self._answer()
        self.record(hints)

    async def hints(self, *, limit: int) -> list[CacheHint]:
        await self._answer()
        return list(self.hinted.values())[:limit]

    async def drop_hints(self, hints: Sequence[CacheHint]) -> None:
        await self._answer()
        for hint in hints:
            self.hinted.pop(hint.hint_id or 0, None)

    async def announce_loss(self, process: str, ttl_s: float) -> None:
        await self._answer()
        self.losses[process] = self.clock_s() + ttl_s

    async def withdraw_loss(self, process: str) -> None:
        await self._answer()
        self.losses.pop(process, None)

    async def is_loss_announced(self, *, besides: str) -> bool:
        await self._answer()
        return bool(self.announced_losses - {besides})

    @property
    def announced_losses(self) -> set[str]:
        """Return the processes whose announcement stands."""
        return {process for process, end_s in self.losses.items() if self.clock_s() < end_s}

    async def save_dead_letters(self, letters: Sequence[DeadLetter]) -> None:
        await self._answer()
        known = {letter.source for letter in self.dead_letters}
        for letter in letters:
            if letter.source not in known:
                self.dead_letters.append(letter)
                known.add(letter.source)

    async def settle_dead_letters(
        self, sources: Sequence[Position], state: DeadLetterState
    ) -> None:
        await self._answer()
        known = {letter.source for letter in self.dead_letters}
        self.settled |= dict.fromkeys(known.intersection(sources), state)

    async def take_worker(self, request: LeaseRequest) -> int | None:
        await self._answer()
        return self._lease_worker(request)

    async def close(self) -> None:
        pass

    def _floors_of(self, user_id: int) -> dict[str, Floor]:
        return {
            conversation_id: participant.floor
            for (user, conversation_id), participant in self.participants.items()
            if user == user_id and participant.floor_id
        }

    def _newest(self, conversation_id: str, before: int | None) -> list[Message]:
        return sorted(
            (
                message
                for message in self.rows.values()
                if message.conversation_id == conversation_id
                and (before is None or message.id < before)
            ),
            key=lambda m: m.id,
            reverse=True,
        )
