"""Join the roles of the message cache into one adapter over Redis, which `runtime` builds."""

from __future__ import annotations

from messaging.cache.accepting import RedisAccepting
from messaging.cache.guarding import RedisGuards
from messaging.cache.health import RedisHealth
from messaging.cache.listing import RedisListings
from messaging.cache.marking import RedisMarking
from messaging.cache.reading import RedisReading
from messaging.cache.recalling import RedisRecalling
from messaging.cache.sharing import RedisSharing


class RedisMessageCache(
    RedisAccepting,
    RedisMarking,
    RedisRecalling,
    RedisReading,
    RedisListings,
    RedisGuards,
    RedisSharing,
    RedisHealth,
):
    """Implement `ports.cache.MessageCache` over one Redis (6.2 or newer), AOF and `volatile-lru`.

    Every change of state is one script, thus one atomic step and one round trip. The keys are named
    in `keys`, and the scripts lie in `scripts/`.
    """
