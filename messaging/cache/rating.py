"""Count in Redis the rates that all processes share."""

from __future__ import annotations

from collections.abc import Sequence

from messaging.cache import keys
from messaging.cache.client import RedisClient
from messaging.cache.lua import load
from messaging.domain.rates import step_us
from messaging.ports.cached import SharedRate

TAKE_RATES = load("take_rates", uses=("rows",))


class RedisRating(RedisClient):
    """Implement the shared rates of `RedisMessageCache`.

    `ports.cache.MessageCache` has the contract of each method.
    """

    async def take_rates(self, rates: Sequence[SharedRate]) -> float:
        counted = [each for each in rates if each.rate]
        if not counted:
            return 0.0
        arguments: list[str | int] = []
        for each in counted:
            name = keys.shared_rate(each.kind, each.key)
            arguments += (name, step_us(each.rate), each.burst)
        wait_us = await self._run(TAKE_RATES, [], arguments)
        return int(wait_us) / 1e6
