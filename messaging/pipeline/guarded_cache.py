"""Put the cache behind its circuit breaker, as the use cases of a process get it."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, cast

from messaging.domain.backend_errors import CacheUnavailable
from messaging.domain.breakers import Breaker
from messaging.ports.cache import MessageCache


def guarded(
    cache: MessageCache, breaker: Breaker, incarnation: Callable[[], str | None]
) -> MessageCache:
    """Return a cache whose calls fail at once while the breaker is open, and trip it if they fail.

    Each call raises CacheUnavailable while the breaker is not closed. So does a call whose answer
    is of another incarnation of the cache than the one that this process has seen meanwhile: the
    restart may have lost the call, and this process has repeated by then what it knew to be
    written. `incarnation`: returns the last one that this process has seen.
    """
    return cast(MessageCache, _GuardedCache(cache, breaker, incarnation))


class _GuardedCache:
    def __init__(
        self, cache: MessageCache, breaker: Breaker, incarnation: Callable[[], str | None]
    ) -> None:
        self._cache = cache
        self._breaker = breaker
        self._incarnation = incarnation

    async def close(self) -> None:
        await self._breaker.close()
        await self._cache.close()

    if not TYPE_CHECKING:

        def __getattr__(self, name: str) -> Any:
            """Return a guarded method of the cache, and keep it so that it is made once."""
            call, breaker = getattr(self._cache, name), self._breaker

            async def method(*args: Any, **kwargs: Any) -> Any:
                if not breaker.is_closed:
                    breaker.trip()  # its state may still be closed, after a standstill
                    raise CacheUnavailable("Redis was away a moment ago")
                asked = self._incarnation()
                try:
                    answer = await call(*args, **kwargs)
                except CacheUnavailable:
                    breaker.trip()
                    raise
                if self._incarnation() != asked:
                    raise CacheUnavailable("Redis was restarted while it was asked")
                return answer

            setattr(self, name, method)
            return method
