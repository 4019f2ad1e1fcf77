"""Build the adapters of a consumer, an audit, an exporter or a trace, beside the runtime."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace

from messaging.audit.check import AuditBackends
from messaging.cache.inspector import RedisCacheInspector
from messaging.cache.redis_cache import RedisMessageCache
from messaging.conf import settings
from messaging.domain.ids import wall_clock_ms
from messaging.eventlog import open_inspector, open_log, open_reader
from messaging.pipeline.compensation import Compensator
from messaging.pipeline.consumer import Consumer
from messaging.ports.audit import CacheInspector, LogInspector, StoreInspector
from messaging.ports.audit_runs import AuditRuns
from messaging.ports.log import EventLog
from messaging.store.audit_runs import DatabaseAuditRuns
from messaging.store.conversations import DatabaseConversations
from messaging.store.database import DatabaseStore
from messaging.store.group_inspector import DatabaseGroupInspector
from messaging.store.inspector import DatabaseInspector
from messaging.trace.tracer import TraceBackends, Tracer

CLOSE_TIMEOUT_S = 10.0
AUDIT_TIMEOUT_S = 30.0
WATCH_TIMEOUT_S = 1.4  # of one call of an exporter; a probe of the database may follow
WATCH_FETCH_BYTES = 64 * 1024  # of a partition, of which the first record alone counts


def inspector_of_log() -> LogInspector:
    """Open a reader of the log's ends and of the committed positions; the caller closes it."""
    current = settings()
    return open_inspector(current.event_log_url, current)


def open_consumer() -> Consumer:
    """Build a consumer on the running loop with its own adapters; `close_consumer` closes them."""
    current = settings()
    return Consumer(
        reader=open_reader(current.event_log_url, current),
        log=open_log(current.event_log_url, current),
        cache=RedisMessageCache(current),
        store=DatabaseStore(current),
        settings=current,
    )


async def close_consumer(consumer: Consumer) -> None:
    async with asyncio.timeout(CLOSE_TIMEOUT_S):
        for part in (consumer.reader, consumer.log, consumer.cache, consumer.store):
            await part.close()


def open_audit_backends() -> AuditBackends:
    """Build the adapters of an audit on the running loop; `close_audit_backends` closes them.

    No client waits for an audit, so its calls of Redis may take `AUDIT_TIMEOUT_S`.
    """
    given = settings()
    current = replace(given, redis_timeout_s=max(given.redis_timeout_s, AUDIT_TIMEOUT_S))
    cache, store = RedisMessageCache(current), DatabaseStore(current)
    return AuditBackends(
        cache=cache,
        store=store,
        conversations=DatabaseConversations(current),
        cached=RedisCacheInspector(current),
        stored=DatabaseInspector(current),
        groups=DatabaseGroupInspector(current),
        log=inspector_of_log(),
        compensator=Compensator(
            cache=cache,
            log=open_log(current.event_log_url, current),
            store=store,
            settings=current,
            clock_ms=wall_clock_ms,
        ),
    )


async def close_audit_backends(parts: AuditBackends) -> None:
    async with asyncio.timeout(CLOSE_TIMEOUT_S):
        await parts.log.close()
        await parts.stored.close()
        await parts.groups.close()
        await parts.cached.close()
        await parts.compensator.log.close()
        await parts.conversations.close()
        await parts.store.close()
        await parts.cache.close()


@dataclass(frozen=True, slots=True)
class WatchedBackends:
    """Hold what an exporter asks; `writer` is the writing end of the log, which answers pings."""

    cache: CacheInspector
    store: StoreInspector
    log: LogInspector
    writer: EventLog
    audits: AuditRuns


def open_watched_backends() -> WatchedBackends:
    """Build the adapters of an exporter on the running loop; the adapters end with the process.

    A backend that is away holds up no call for long.
    """
    current = replace(
        settings(),
        redis_timeout_s=WATCH_TIMEOUT_S,
        store_timeout_s=WATCH_TIMEOUT_S,
        log_timeout_s=WATCH_TIMEOUT_S,
    )
    url = current.event_log_url
    return WatchedBackends(
        cache=RedisCacheInspector(current),
        store=DatabaseInspector(current),
        log=open_inspector(url, current, fetch_bytes=WATCH_FETCH_BYTES),
        writer=open_log(url, current),
        audits=DatabaseAuditRuns(current),
    )


async def close_watched_backends(parts: WatchedBackends) -> None:
    async with asyncio.timeout(CLOSE_TIMEOUT_S):
        for part in (parts.cache, parts.store, parts.log, parts.writer, parts.audits):
            await part.close()


@asynccontextmanager
async def open_tracer(timeout_s: float) -> AsyncIterator[Tracer]:
    """Open a tracer on the running loop, which gives each place `timeout_s`, until the block ends.

    A call that a place has not answered may outlive the block by the time limit of its driver.
    """
    given = settings()
    current = replace(given, redis_timeout_s=timeout_s, store_timeout_s=timeout_s)
    backends = TraceBackends(
        cache=RedisMessageCache(current),
        cached=RedisCacheInspector(current),
        stored=DatabaseInspector(current),
        log=open_inspector(current.event_log_url, current, timeout_s=timeout_s),
    )
    try:
        yield Tracer(backends, timeout_s=timeout_s)
    finally:
        async with asyncio.timeout(CLOSE_TIMEOUT_S):
            await backends.log.close()
            await backends.stored.close()
            await backends.cached.close()
            await backends.cache.close()
