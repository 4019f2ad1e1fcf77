"""Serve the message cache and the feed of changes about people from Redis.

The message cache is the hot copy of messages: `runtime` builds it, and other code uses it through
`ports.cache`.
"""

from __future__ import annotations

from messaging.cache.change_feed import ChangeListener, publish
from messaging.cache.inspector import RedisCacheInspector
from messaging.cache.redis_cache import RedisMessageCache

__all__ = ["ChangeListener", "RedisCacheInspector", "RedisMessageCache", "publish"]
