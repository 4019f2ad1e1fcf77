"""Walk the keys of the message cache, and read its server, behind `ports.audit.CacheInspector`.

SCAN returns every key that exists during the whole walk, and some keys twice. A key that expires
before its value is read is left out.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Sequence

from messaging.cache import keys
from messaging.cache.client import RedisClient
from messaging.cache.lua import load
from messaging.cache.messages import read_details, read_record
from messaging.cache.reading import DETAILS, read_floor
from messaging.domain.message import Key, Message
from messaging.ports.audit import CacheServer, LoadedTail, PendingSet, Pieces
from messaging.ports.cached import IdempotencyRecord
from messaging.ports.store import Deletes

FORGET = load("forget")
LOADED_TAIL = load("loaded_tail", uses=("incarnation", "tail"))
UNLOAD = load("unload")
UNLISTED = load("unlisted", uses=("rows", "incarnation", "tail"))
KNOWN_DELETES = load("known_deletes", uses=("incarnation", "tail", "deletes"))

KEYS_AT_ONCE = 500

_KEY = re.compile(rf"{keys.DEDUPE}(\d+):(.+)", re.DOTALL)
_BOUNDS = re.compile(rb"(\d+):(\d+)")
_NUMBER = re.compile(rb"^(\w+):(\d+)\r?$", re.MULTILINE)


class RedisCacheInspector(RedisClient):
    """Implement `ports.audit.CacheInspector` over the Redis of the message cache."""

    async def clock_ms(self) -> int:
        seconds, microseconds = map(int, await self._command("TIME"))
        return seconds * 1000 + microseconds // 1000

    async def server(self) -> CacheServer:
        sections = ("memory", "stats", "persistence", "replication")
        texts = await asyncio.gather(*(self._command("INFO", each) for each in sections))
        numbers = {name.decode(): int(n) for text in texts for name, n in _NUMBER.findall(text)}
        return CacheServer(
            memory_bytes=numbers["used_memory"],
            limit_bytes=numbers["maxmemory"],
            evicted=numbers["evicted_keys"],
            aof_delayed=numbers.get("aof_delayed_fsync", 0),  # absent without an append-only file
            replicas=numbers["connected_slaves"],
        )

    async def pending_set(self) -> PendingSet:
        count, size, oldest = await asyncio.gather(
            self._command("ZCARD", keys.PENDING),
            self._command("GET", keys.PENDING_BYTES),
            self._command("ZRANGE", keys.PENDING, 0, 0, "WITHSCORES"),
        )
        return PendingSet(count, int(size or 0), int(float(oldest[1])) if oldest else None)

    async def details(self) -> Pieces[Message]:
        async for done, names in self._scan(keys.DETAIL):
            ids = [int(name.removeprefix(keys.DETAIL)) for name in names]
            states, _ = read_details(ids, await self._run(DETAILS, names, []))
            yield done, list(states.values())

    async def idempotency_records(self) -> Pieces[tuple[Key, IdempotencyRecord]]:
        async for done, names in self._scan(keys.DEDUPE):
            values = await self._command("MGET", *names)
            pairs = zip(map(_KEY.fullmatch, names), values, strict=True)
            yield (
                done,
                [((int(m[1]), m[2]), read_record(text)) for m, text in pairs if m and text],
            )

    async def recorded_ids(self, sends: Sequence[Key]) -> dict[Key, int]:
        if not sends:
            return {}
        values = await self._command("MGET", *(keys.dedupe(*send) for send in sends))
        pairs = zip(sends, values, strict=True)
        return {send: read_record(text).message_id for send, text in pairs if text is not None}

    async def recall_marks(self) -> Pieces[int]:
        async for done, names in self._scan(keys.CANCEL):
            yield done, [int(name.removeprefix(keys.CANCEL)) for name in names]

    async def loaded(self) -> Pieces[str]:
        async for done, names in self._scan(keys.LOADED):
            yield done, [name.removeprefix(keys.LOADED) for name in names]

    async def deleters(self) -> Pieces[int]:
        async for done, names in self._scan(keys.DELETED):
            rest = [name.removeprefix(keys.DELETED) for name in names]
            yield done, [int(user_id) for user_id in rest if user_id.isdigit()]

    async def listers(self) -> Pieces[int]:
        async for done, names in self._scan(keys.MINE):
            yield done, [int(name.removeprefix(keys.MINE)) for name in names]

    async def deletes(self, user_id: int) -> Deletes | None:
        names = [keys.deleted(user_id), keys.floors(user_id)]
        found, floor, floors = await self._run(KNOWN_DELETES, names, [])
        if floor is None:
            return None
        return Deletes(
            tuple(int(each) for each in found if each.isdigit()),
            floor=int(floor),
            floors={
                name.decode(): read_floor(text)
                for name, text in zip(floors[::2], floors[1::2], strict=True)
                if name
            },
        )

    async def tail(self, conversation_id: str) -> LoadedTail | None:
        names = [keys.tail(conversation_id), keys.loaded(conversation_id)]
        ids, mark = await self._run(LOADED_TAIL, names, [])
        if mark == keys.EMPTY_TAIL.encode() and not ids:
            return LoadedTail((), floor=0, base=0)
        bounds = _BOUNDS.fullmatch(mark or b"")
        if bounds is None or not ids:
            return None
        return LoadedTail(tuple(map(int, ids)), floor=int(bounds[1]), base=int(bounds[2]))

    async def pending_among(self, message_ids: Sequence[int]) -> dict[int, int]:
        if not message_ids:
            return {}
        times = await self._command("ZMSCORE", keys.PENDING, *message_ids)
        pairs = zip(message_ids, times, strict=True)
        return {message_id: int(float(time)) for message_id, time in pairs if time is not None}

    async def unlisted(self, messages: Sequence[Message]) -> list[int]:
        if not messages:
            return []
        arguments = [value for m in messages for value in (m.id, m.conversation_id)]
        return [int(each) for each in await self._run(UNLISTED, [], arguments)]

    async def forget(self, message_ids: Sequence[int]) -> None:
        await self._run(FORGET, [keys.detail(each) for each in message_ids], [])

    async def unload(self, conversation_id: str, *, orphans: Sequence[int] = ()) -> None:
        names = [keys.tail(conversation_id), keys.loaded(conversation_id), keys.PENDING]
        await self._run(UNLOAD, names, orphans)

    async def forget_deletes(self, user_id: int) -> None:
        await self._command("DEL", keys.deleted(user_id), keys.floors(user_id))

    async def _scan(self, prefix: str) -> Pieces[str]:
        """Yield key names with this prefix in pieces, each with the walk's progress (0 to 1).

        No piece is empty. Each trip to Redis scans about `KEYS_AT_ONCE` keys, or more, so the
        progress is an estimate.
        """
        total = max(int(await self._command("DBSIZE")), 1)
        cursor, seen = b"0", 0
        while True:
            command = ("SCAN", cursor, "MATCH", f"{prefix}*", "COUNT", KEYS_AT_ONCE)
            cursor, names = await self._command(*command)
            seen += KEYS_AT_ONCE
            if names:
                yield min(seen / total, 1.0), [name.decode() for name in names]
            if cursor == b"0":
                return
