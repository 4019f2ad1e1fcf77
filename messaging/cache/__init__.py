"""The message cache: the hot copy of messages in Redis. Built by `wiring`, used through `ports`."""

from __future__ import annotations

from messaging.cache.redis_cache import RedisMessageCache

__all__ = ["RedisMessageCache"]
