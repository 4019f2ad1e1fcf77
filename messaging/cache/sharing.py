"""Lease names and worker ids, and count the rates that all processes share."""

from __future__ import annotations

from collections.abc import Sequence

from messaging.cache import keys
from messaging.cache.client import RedisClient
from messaging.cache.lua import load
from messaging.domain.rates import step_us
from messaging.ports.cache_service import LeaseRequest
from messaging.ports.cached import SharedRate

TAKE_LEASE = load("take_lease")
TAKE_RATES = load("take_rates", uses=("rows", "rates"))
TAKE_WORKER = load("take_worker")


class RedisSharing(RedisClient):
    """Implement the leases and the shared rates of `RedisMessageCache`.

    `ports.cache_service` has the contract of each method.
    """

    async def take_rates(self, rates: Sequence[SharedRate]) -> float:
        arguments: list[str | int] = []
        for each in rates:
            if each.rate:
                name = keys.shared_rate(each.kind, each.key)
                arguments += (name, step_us(each.rate), each.burst)
        return int(await self._run(TAKE_RATES, [], arguments)) / 1e6 if arguments else 0.0

    async def take_lease(self, name: str, owner: str, ttl_s: float) -> bool:
        taken = await self._run(TAKE_LEASE, [keys.lease(name)], [owner, round(ttl_s * 1000)])
        return bool(taken)

    async def is_leased(self, name: str) -> bool:
        return bool(await self._command("EXISTS", keys.lease(name)))

    async def take_worker(self, request: LeaseRequest) -> int | None:
        names = [keys.worker(request.node), keys.USED]
        arguments = [request.owner, round(request.ttl_s * 1000), request.node]
        arguments += (request.now_ms, request.until_ms)
        used_ms = await self._run(TAKE_WORKER, names, arguments)
        return None if used_ms is None else int(used_ms)
