"""Join the roles of the message cache into one adapter over Redis, which `wiring` builds."""

from __future__ import annotations

from messaging.cache.accepting import Accepting
from messaging.cache.health import Health
from messaging.cache.marking import Marking
from messaging.cache.rating import Rating
from messaging.cache.reading import Reading
from messaging.cache.recalling import Recalling


class RedisMessageCache(Accepting, Marking, Recalling, Reading, Rating, Health):
    """Implement `ports.cache.MessageCache` over one Redis (6.2 or newer), AOF and `volatile-lru`.

    Every change of state is one script, thus one atomic step and one round trip. The keys are named
    in `keys`, and the scripts lie in `scripts/`.
    """
