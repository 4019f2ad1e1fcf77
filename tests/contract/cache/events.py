"""Let happen to a cache what no caller of the cache does: time that passes, and evictions."""

from __future__ import annotations

import asyncio
import dataclasses
import time
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Protocol

import redis

from messaging.cache import keys
from messaging.ports.cache import MessageCache
from messaging.testing.cache import MemoryCache

RECOVERY_S = 10  # longer than a cache recovers
MICROSECONDS = 1_000_000


class Events(Protocol):
    """Let something happen to the lists of users."""

    async def age_listing(self, user_id: int, by_s: float) -> None:
        """Make a filled listing older."""

    async def age_token(self, user_id: int, by_s: float) -> str:
        """Make the token of a fill older, and return the token as it is then."""

    async def evict_listing(self, user_id: int) -> None: ...

    async def evict_head(self, conversation_id: str) -> None: ...

    async def evict_memos(self, user_id: int) -> None: ...

    async def evict_deletes(self, user_id: int) -> None: ...

    async def evict_floors(self, user_id: int) -> None: ...

    async def pass_recovery(self) -> None:
        """Let the seconds pass for which a cache recovers."""

    async def file(self) -> Any:
        """Return what a restart would find if the cache were killed now."""

    async def restart(self, file: Any) -> None:
        """Start the cache again with this file, which may be older than the last writes."""


@dataclass
class MemoryEvents:
    """Let it happen to the cache in memory."""

    cache: MemoryCache

    async def age_listing(self, user_id: int, by_s: float) -> None:
        self.cache.listings[user_id].read_s -= by_s

    async def age_token(self, user_id: int, by_s: float) -> str:
        listing = self.cache.listings[user_id]
        assert listing.token is not None
        listing.token = dataclasses.replace(listing.token, end_s=listing.token.end_s - by_s)
        return listing.token.text

    async def evict_listing(self, user_id: int) -> None:
        self.cache.listings.pop(user_id, None)

    async def evict_head(self, conversation_id: str) -> None:
        self.cache.evict_head(conversation_id)

    async def evict_memos(self, user_id: int) -> None:
        self.cache.memos.pop(user_id, None)

    async def evict_deletes(self, user_id: int) -> None:
        self.cache.deletes.pop(user_id, None)
        self._forget_fill(user_id)

    async def evict_floors(self, user_id: int) -> None:
        self.cache.floors.pop(user_id, None)
        self._forget_fill(user_id)

    def _forget_fill(self, user_id: int) -> None:
        self.cache.deletes_tokens.pop(user_id, None)
        self.cache.deletes_floors.pop(user_id, None)

    async def pass_recovery(self) -> None:
        self.cache.complete_from_s -= RECOVERY_S

    async def file(self) -> Mapping[str, Any]:
        return self.cache.file()

    async def restart(self, file: Mapping[str, Any]) -> None:
        self.cache.restart(file)


@dataclass
class RedisEvents:
    """Let it happen to a Redis."""

    server: redis.Redis
    recoveries: int = 0

    @cached_property
    def _raw(self) -> redis.ConnectionPool:
        """Return connections whose replies are bytes, as dumps of keys are."""
        given = self.server.connection_pool.connection_kwargs
        return redis.ConnectionPool(host=given["host"], port=given["port"], db=given["db"])

    async def age_listing(self, user_id: int, by_s: float) -> None:
        self._age(user_id, keys.FILLED, by_s)

    async def age_token(self, user_id: int, by_s: float) -> str:
        return self._age(user_id, keys.FILLING, by_s)

    async def evict_listing(self, user_id: int) -> None:
        self._evict(keys.mine(user_id))

    async def evict_head(self, conversation_id: str) -> None:
        self._evict(keys.head(conversation_id))

    async def evict_memos(self, user_id: int) -> None:
        self._evict(keys.unread(user_id))

    async def evict_deletes(self, user_id: int) -> None:
        self._evict(keys.deleted(user_id))

    async def evict_floors(self, user_id: int) -> None:
        self._evict(keys.floors(user_id))

    async def pass_recovery(self) -> None:
        """Set the end of the recovery back; no two recoveries end in the same second."""
        self.recoveries += 1
        by_s = RECOVERY_S + 1_000 * self.recoveries
        self.server.hincrby(keys.INCARNATION, "complete_from", -by_s)

    async def file(self) -> dict[str, tuple[bytes, int]]:
        with redis.Redis(connection_pool=self._raw) as raw:
            names = list(raw.scan_iter())
            return {name: (raw.dump(name), max(raw.pttl(name), 0)) for name in names}

    async def restart(self, file: Mapping[str, tuple[bytes, int]]) -> None:
        with redis.Redis(connection_pool=self._raw) as raw:
            raw.flushall()
            for name, (value, life_ms) in file.items():
                raw.restore(name, life_ms, value)
            raw.hset(keys.INCARNATION, "id", "an earlier start")
        await asyncio.sleep(0.002)  # a real restart takes longer than the clock's millisecond

    def _age(self, user_id: int, field: str, by_s: float) -> str:
        name = keys.mine(user_id)
        noticed, complete, begun, evicted = str(self.server.hget(name, field)).split("/")
        begun = str(int(begun) - round(by_s * MICROSECONDS))
        token = "/".join((noticed, complete, begun, evicted))
        self.server.hset(name, field, token)
        return token

    def _evict(self, name: str) -> None:
        """Have Redis itself evict this one key, by taking the expiry of all others away."""
        server = self.server
        lives = {each: server.pttl(each) for each in server.scan_iter() if each != name}
        ageing = {each: life for each, life in lives.items() if life >= 0}
        for each in ageing:
            server.persist(each)
        server.config_set("maxmemory-policy", "volatile-lru")
        server.config_set("maxmemory", 1)
        until_s = time.monotonic() + 5
        while server.exists(name) and time.monotonic() < until_s:
            time.sleep(0.001)
        server.config_set("maxmemory", 0)
        for each, life in ageing.items():
            server.pexpire(each, life)


def events_of(cache: MessageCache, server: redis.Redis | None) -> Events:
    if isinstance(cache, MemoryCache):
        return MemoryEvents(cache)
    assert server is not None
    return RedisEvents(server)
