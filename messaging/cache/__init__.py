"""What Redis does for the service: the message cache, the hot copy of messages, built by `wiring`
and used through `ports`; and the feed of changes about people.
"""

from __future__ import annotations

from messaging.cache.change_feed import ChangeListener, publish
from messaging.cache.inspection import RedisCacheInspector
from messaging.cache.redis_cache import RedisMessageCache

__all__ = ["ChangeListener", "RedisCacheInspector", "RedisMessageCache", "publish"]
