"""Judge whether this process may be given requests, from the state that the process keeps.

No backend is asked: the circuit breakers and the heartbeat know how the backends are.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass, replace

from messaging.domain.breakers import Breaker
from messaging.domain.modes import CACHE, LOG, STORE, Mode, Reads, mode_of
from messaging.service.backends import Backends

ROOM_BYTES = 32 * 1024  # in the pending set; a large message may find no room in less


@dataclass(frozen=True, slots=True)
class ModeNow:
    """Hold a mode, and for how many seconds each backend has been away."""

    mode: Mode
    away: Mapping[str, float]


async def state_now(backends: Backends) -> ModeNow:
    """Return the mode of the service and the outages, as this process sees them."""
    now_s = asyncio.get_running_loop().time()
    breakers = _breakers(backends)
    away = {name: now_s - breakers[name].opened_s for name in away_of(backends)}
    return ModeNow(mode_now(backends), away)


def away_of(backends: Backends) -> tuple[str, ...]:
    """Return the names of the backends that are away, as the process's circuit breakers see them.

    Called on the event loop of these backends.
    """
    return tuple(name for name, each in _breakers(backends).items() if not each.is_closed)


def may_serve(backends: Backends) -> bool:
    """Tell whether the process can do its work, apart from what the backends keep from it.

    A process without a worker id gives no message ids. Worker ids are leased from Redis or from the
    database. So a process that never had one has reached neither since its start, and a process
    that lost one while either answers has a fault of its own. A lease that ran out while both are
    away ran out in every process: no balancer is to take them all away for an outage.
    """
    if backends.ids.lease_left_s > 0:
        return True
    return backends.ids.lease is not None and {CACHE, STORE} <= set(away_of(backends))


def mode_now(backends: Backends) -> Mode:
    """Return the mode of the service as this process sees it.

    Sends are refused while the process has no worker id, and while Redis holds as many bytes of
    pending messages as it may. Redis tells the bytes at each heartbeat, and cannot refuse a send
    while it is away. Reads without Redis are refused after an outage of the database, until the
    database has all recalls.
    """
    away = set(away_of(backends))
    room_bytes = backends.settings.pending_bytes - backends.hints.pending_bytes
    is_full = CACHE not in away and room_bytes < ROOM_BYTES
    mode = mode_of(away, takes_sends=backends.ids.lease_left_s > 0 and not is_full)
    if CACHE in away and backends.catch_up.is_behind:
        return replace(mode, reads=Reads.REFUSED)
    return mode


def _breakers(backends: Backends) -> dict[str, Breaker]:
    return {
        CACHE: backends.hints.breaker,
        LOG: backends.log.breaker,
        STORE: backends.store.breaker,
    }
