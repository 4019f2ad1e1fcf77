"""The message cache over Redis, put together from its roles. Built by `wiring`."""

from __future__ import annotations

from messaging.cache.accepting import Accepting
from messaging.cache.marking import Marking
from messaging.cache.rating import Rating
from messaging.cache.reading import Reading
from messaging.cache.recalling import Recalling


class RedisMessageCache(Accepting, Marking, Recalling, Reading, Rating):
    """`ports.MessageCache` over one Redis (6.2 or newer) with AOF and `volatile-lru`.

    Every change of state is one script, thus one atomic step and one round trip. The keys are named
    in `keys`, the scripts lie in `scripts/`.
    """
