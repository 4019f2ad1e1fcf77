"""Read messages and conversations in memory, and fill in what the store has."""

from __future__ import annotations

import dataclasses
import secrets
from collections.abc import Mapping, Sequence

from messaging.domain.conversations import NO_FLOOR, Floor
from messaging.domain.events import encode_message
from messaging.domain.message import ChatType, Message
from messaging.limits import MAX_CACHED_TAIL_BYTES
from messaging.ports.cache import FILL_TTL_S, MOST_IDS_READ
from messaging.ports.cached import CachedTail, ReaderView
from messaging.ports.store import Deletes
from messaging.testing.cache_guarding import MemoryGuarding
from messaging.testing.tail import Filling


class MemoryReading(MemoryGuarding):
    """Implement the reading part of `MemoryCache`."""

    __slots__ = ()

    async def get(self, message_ids: Sequence[int]) -> dict[int, Message]:
        self._answer()
        return {i: self.details[i] for i in message_ids if i in self.details}

    async def cached_tail(
        self, conversation_id: str, *, reader_id: int, before: int | None, limit: int
    ) -> CachedTail:
        seen = await self.listed(conversation_id, reader_id=reader_id, before=before, limit=limit)
        return self._with_details(seen, MAX_CACHED_TAIL_BYTES)[0]

    async def newest_tails(
        self, limits: Mapping[str, int], *, reader_id: int
    ) -> dict[str, CachedTail]:
        tails, left_bytes = {}, MAX_CACHED_TAIL_BYTES
        for name, limit in limits.items():
            seen = await self.listed(name, reader_id=reader_id, before=None, limit=limit)
            tails[name], taken_bytes = self._with_details(seen, max(left_bytes, 1))
            left_bytes -= taken_bytes
        return tails

    def _with_details(self, seen: CachedTail, most_bytes: int) -> tuple[CachedTail, int]:
        """Return a tail of ids with its messages up to these bytes, and the bytes they take."""
        ids, taken_bytes = list(seen.missing), 0
        for place, message_id in enumerate(ids):
            if taken_bytes >= most_bytes:
                seen = dataclasses.replace(seen, end=ids[place - 1])
                del ids[place:]
                break
            if (message := self.details.get(message_id)) is not None:
                taken_bytes += len(encode_message(message))
        return dataclasses.replace(
            seen,
            messages=tuple(self.details[i] for i in ids if i in self.details),
            missing=tuple(i for i in ids if i not in self.details),
        ), taken_bytes

    async def listed(
        self, conversation_id: str, *, reader_id: int, before: int | None, limit: int
    ) -> CachedTail:
        self._answer()
        tail = self._tail(conversation_id)
        if not tail.ids and not tail.empty and tail.filling is None:
            tail.forget()
        below = tail.ids[0 if before is None else tail.place(before - 1) :]
        deleted = self.deletes.get(reader_id, set())
        ids: list[int] = []
        end = None
        for looked, message_id in enumerate(below):
            if len(ids) == limit or looked == MOST_IDS_READ:
                end = below[looked - 1]
                break
            if message_id not in deleted:
                ids.append(message_id)
        return CachedTail(
            missing=tuple(ids),
            end=end,
            floor=tail.floor,
            total=None if tail.floor is None else tail.base + len(tail.ids),
            deletes_floor=self.deletes_floors.get(reader_id),
            recovering=self.recovering,
            guard=self._guard_score(conversation_id, reader_id),
            cleared=self._floors_of(reader_id).get(conversation_id, NO_FLOOR)
            if reader_id in self.deletes_floors
            else None,
        )

    async def waiting(self, conversation_id: str, *, limit: int) -> list[int]:
        self._answer()
        ids = self._tail(conversation_id).ids
        return [i for i in ids if i in self.pending_set.times][:limit]

    async def reader_view(self, message_ids: Sequence[int], *, reader_id: int) -> ReaderView:
        self._answer()
        messages = {i: self.details[i] for i in message_ids if i in self.details}
        floors = self._floors_of(reader_id)
        guards = {
            i: self._guard_score(message.conversation_id, reader_id)
            for i, message in messages.items()
            if message.chat_type is ChatType.GROUP
        }
        return ReaderView(
            messages=messages,
            deleted=frozenset(self.deletes.get(reader_id, set()).intersection(message_ids)),
            deletes_floor=self.deletes_floors.get(reader_id),
            recovering=self.recovering,
            guards={i: score for i, score in guards.items() if score},
            floors={
                i: floors[message.conversation_id]
                for i, message in messages.items()
                if message.conversation_id in floors
            },
        )

    async def begin_fill(self, conversation_id: str) -> str | None:
        self._answer()
        tail, now_s = self._tail(conversation_id), self.clock_s()
        if tail.floor is not None or (tail.filling is not None and now_s < tail.filling.end_s):
            return None
        tail.filling = Filling(secrets.token_hex(8), now_s + FILL_TTL_S)
        return tail.filling.token

    async def fill(
        self,
        conversation_id: str,
        token: str,
        messages: Sequence[Message],
        *,
        floor: int,
        base: int,
    ) -> None:
        self._answer()
        tail = self._tail(conversation_id)
        filling = tail.filling
        if filling is None or filling.token != token or self.clock_s() >= filling.end_s:
            return
        if tail.load([message.id for message in messages], floor=floor, base=base):
            self._add_rows(messages)

    async def add_details(self, messages: Sequence[Message]) -> None:
        self._answer()
        self._add_rows(messages)

    async def add_deletes(
        self,
        user_id: int,
        message_ids: Sequence[int],
        *,
        floors: Mapping[str, Floor] | None = None,
    ) -> None:
        self._answer()
        self.deletes.setdefault(user_id, set()).update(message_ids)
        for conversation_id, raised in (floors or {}).items():
            held = self._floors_of(user_id).get(conversation_id, NO_FLOOR)
            self._floors_of(user_id)[conversation_id] = held.joined(raised)

    async def begin_deletes(self, user_id: int) -> str:
        self._answer()
        return self.deletes_tokens.setdefault(user_id, secrets.token_hex(8))

    async def fill_deletes(self, user_id: int, token: str, known: Deletes) -> None:
        await self.add_deletes(user_id, known.message_ids, floors=known.floors)
        if self.deletes_tokens.get(user_id) == token:
            held = self.deletes_floors.get(user_id, known.floor)
            self.deletes_floors[user_id] = min(known.floor, held)

    def _floors_of(self, user_id: int) -> dict[str, Floor]:
        return self.floors.setdefault(user_id, {})
