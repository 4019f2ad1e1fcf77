"""Ask the backends for the numbers of `asked`, one question a source.

A further source is one more function here and one more entry in `sources_of`; the page and the
samples take its answers by their names.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from messaging.audit.findings import Defect
from messaging.domain.backend_errors import BackendError
from messaging.domain.ids import wall_clock_ms
from messaging.exporter import asked
from messaging.exporter.asked import Answers
from messaging.metrics.families import Labels
from messaging.ports.audit import CacheInspector, LogInspector, StoreInspector
from messaging.ports.audit_runs import AuditRuns
from messaging.ports.store import DeadLetterState
from messaging.runtime.adapters import WatchedBackends

PING_TIMEOUT_S = 1.8  # below that of the source, so that a silent backend is told as one


@dataclass(frozen=True, slots=True)
class Source:
    """Hold a name, and a question whose answers come together or not at all.

    Raises: BackendError, from `ask`.
    """

    name: str
    ask: Callable[[], Awaitable[Answers]]


def sources_of(parts: WatchedBackends, *, pending_limit_bytes: int) -> tuple[Source, ...]:
    """Return the questions to these backends."""
    return (
        Source("backends", lambda: backends(parts)),
        Source("pending", lambda: pending(parts.cache, pending_limit_bytes)),
        Source("redis", lambda: redis(parts.cache)),
        Source("redis_clock", lambda: offset("redis", parts.cache.clock_ms)),
        Source("store_clock", lambda: offset("store", parts.store.clock_ms)),
        Source("lag", lambda: lag(parts.log)),
        Source("retention", lambda: retention(parts.log)),
        Source("members", lambda: members(parts.log)),
        Source("dead_letters", lambda: dead_letters(parts.store)),
        Source("arrears", lambda: arrears(parts.store)),
        Source("audits", lambda: audits(parts.audits)),
    )


def _age_s(time_ms: int | None) -> float:
    return 0.0 if time_ms is None else max(wall_clock_ms() - time_ms, 0) / 1000


async def backends(parts: WatchedBackends) -> Answers:
    """Ping every backend at the same time; one that is away is an answer, too."""
    pings = {"cache": parts.cache.ping, "log": parts.writer.ping, "store": parts.store.ping}
    durations = await asyncio.gather(*map(_ping_s, pings.values()))
    named = dict(zip(pings, durations, strict=True))
    return {
        asked.backend_up: {(name,): float(took is not None) for name, took in named.items()},
        asked.backend_seconds: {(name,): took for name, took in named.items() if took is not None},
    }


async def _ping_s(ping: Callable[[], Awaitable[None]]) -> float | None:
    """Return how long a ping took; None without an answer in time."""
    began_s = time.monotonic()
    try:
        async with asyncio.timeout(PING_TIMEOUT_S):
            await ping()
    except (BackendError, TimeoutError):
        return None
    return time.monotonic() - began_s


async def pending(cache: CacheInspector, limit_bytes: int) -> Answers:
    found = await cache.pending_set()
    return {
        asked.pending_messages: {(): found.count},
        asked.pending_oldest: {(): _age_s(found.oldest_ms)},
        asked.pending_bytes: {(): found.bytes},
        asked.pending_limit: {(): limit_bytes},
    }


async def redis(cache: CacheInspector) -> Answers:
    server = await cache.server()
    return {
        asked.redis_memory: {(): server.memory_bytes},
        asked.redis_limit: {(): server.limit_bytes},
        asked.redis_evicted: {(): server.evicted},
        asked.redis_aof_delayed: {(): server.aof_delayed},
        asked.redis_replicas: {(): server.replicas},
    }


async def offset(against: str, clock_ms: Callable[[], Awaitable[int]]) -> Answers:
    """Compare a server's clock with the middle of the time that the question took."""
    before_ms = wall_clock_ms()
    theirs_ms = await clock_ms()
    ours_ms = (before_ms + wall_clock_ms()) / 2
    return {asked.clock_offset: {(against,): (theirs_ms - ours_ms) / 1000}}


async def lag(log: LogInspector) -> Answers:
    """Ask for the lag; a partition whose first record cannot be read has no age."""
    lags = await log.lags()
    ages: dict[Labels, float] = {
        (str(each.partition),): _age_s(each.oldest_ms)
        for each in lags
        if each.oldest_ms is not None or not each.records
    }
    records: dict[Labels, float] = {(str(each.partition),): each.records for each in lags}
    return {asked.log_lag_records: records, asked.log_lag_seconds: ages}


async def retention(log: LogInspector) -> Answers:
    kept_s = await log.retention_s()
    return {asked.log_retention: {} if kept_s is None else {(): kept_s}}


async def members(log: LogInspector) -> Answers:
    return {asked.log_members: {(): await log.members()}}


async def dead_letters(store: StoreInspector) -> Answers:
    found = await store.letters_by_state()
    states = {state: found.get(state) for state in DeadLetterState}
    counts: dict[Labels, float] = {
        (state.lower(),): letters.count if letters else 0 for state, letters in states.items()
    }
    ages: dict[Labels, float] = {
        (state.lower(),): _age_s(letters.oldest_ms) if letters else 0.0
        for state, letters in states.items()
    }
    return {asked.dead_letters: counts, asked.dead_letter_oldest: ages}


async def arrears(store: StoreInspector) -> Answers:
    return {asked.arrears_noted: {(): await store.hints_noted()}}


async def audits(runs: AuditRuns) -> Answers:
    """Ask for the last complete audit of each schedule.

    An hourly audit looks at the last two hours alone. Its result therefore replaces nothing that a
    nightly audit has found: the larger number of the two counts.
    """
    last = {scope: each.complete for scope, each in (await runs.last_audits()).items()}
    complete = {scope: run for scope, run in last.items() if run is not None}
    if not complete:
        return {}
    found = [run.findings for run in complete.values()]
    return {
        asked.audit_timestamp: {(scope,): run.ended_ms / 1000 for scope, run in complete.items()},
        asked.audit_findings: {
            (kind,): max(each.get(kind, 0) for each in found) for kind in Defect
        },
        asked.unaccounted: {(): max(run.unaccounted or 0 for run in complete.values())},
    }
