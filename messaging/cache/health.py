"""Track the starts of the Redis server, and the processes that reach the server."""

from __future__ import annotations

from messaging.cache import keys
from messaging.cache.client import RedisClient
from messaging.cache.lua import load
from messaging.domain.backend_errors import CacheUnavailable
from messaging.ports.cached import Incarnation

HEARTBEAT = load("heartbeat", uses=("incarnation",))
NOTE_RECOVERED = load("note_recovered", uses=("incarnation",))


class RedisHealth(RedisClient):
    """Implement the health of `RedisMessageCache`.

    `ports.cache_service.CacheHealth` has the contract of each method.
    """

    async def heartbeat(self, name: str | None = None) -> Incarnation:
        names = [keys.INCARNATION, keys.HEARTBEATS, keys.HELD, keys.PENDING_BYTES]
        reply = await self._run(HEARTBEAT, names, [] if name is None else [name])
        server_id, age_ms, pending_bytes, *flags = reply
        is_recovered, has_held, is_vouched = map(bool, flags)
        return Incarnation(
            server_id.decode(), is_recovered, age_ms / 1000, has_held, is_vouched, pending_bytes
        )

    async def deregister(self, name: str) -> None:
        await self._command("ZREM", keys.HEARTBEATS, name)

    async def note_recovered(self, incarnation: str, *, returned: bool) -> None:
        arguments = [incarnation, int(returned)]
        if not await self._run(NOTE_RECOVERED, [keys.INCARNATION], arguments):
            raise CacheUnavailable("Redis was restarted meanwhile")

    async def note_held(self, ttl_s: float) -> None:
        await self._command("SET", keys.HELD, 1, "PX", round(ttl_s * 1000))
