"""Read the log on Redis Streams, behind `ports.log.LogReader`.

The consumer process has one reader, by `eventlog.open_reader`. The reader uses no consumer groups
of Redis, which would share one stream's records among readers and lose the order. Instead a
partition belongs to the one reader that holds its lease, each reader takes a fair share of the
leases, and the leases fence every commit.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import uuid
from collections import deque
from collections.abc import Mapping
from typing import Any

from redis.exceptions import RedisError

from messaging.domain.backend_errors import CommitRefused, LogUnavailable
from messaging.eventlog.inbox import Inbox
from messaging.eventlog.redis_streams.entries import (
    Keys,
    check_partitions,
    connect,
    decode,
    format_id,
    parse_id,
    script,
    unavailable_when_redis_fails,
)
from messaging.ports.log import Record

logger = logging.getLogger(__name__)

SHARE_EVERY_S = 1.0  # until a reader checks its share again; also the longest blocking read
AT_ONCE = 500  # records that one reply holds, at most
KEPT_COMMITS = 100  # the records of so many commits stay in a stream, for people to inspect


class RedisStreamsLogReader:
    """Implement `ports.log.LogReader` over Redis Streams by leases of partitions.

    `lease_s`: a dead reader loses its leases after so long.
    `max_poll_interval_s`: a living reader that neither polls nor keeps alive for so long stops
    renewing its leases, and loses them.

    Raises: TopicMismatch, from `poll`, when the topic has been read with another number of
    partitions: some of its partitions would never be read.
    """

    def __init__(
        self,
        url: str,
        *,
        topic: str,
        group: str,
        partitions: int,
        timeout_s: float,
        lease_s: float = 5.0,
        max_poll_interval_s: float = 60.0,
    ) -> None:
        self._topic = topic
        self._keys = Keys(topic)
        self._group = group
        self._partitions = partitions
        self._lease_s = lease_s
        self._share_s = min(SHARE_EVERY_S, lease_s / 3)
        self._max_poll_interval_s = max_poll_interval_s
        self._token = uuid.uuid4().hex
        self._client = connect(url, timeout_s=timeout_s, answer_timeout_s=self._share_s + timeout_s)
        self._scripts = {n: script(self._client, n) for n in ("share", "commit", "leave")}
        self._read_to: dict[int, tuple[int, int]] = {}  # of the partitions that are ours
        self._commits: dict[int, deque[str]] = {}
        self._inbox: Inbox[tuple[int, int]] = Inbox(parse_id)
        self._sharing = asyncio.Lock()
        self._shared_s = float("-inf")
        self._attended_s = 0.0
        self._renewing: asyncio.Task[None] | None = None
        self._leaving = asyncio.Event()
        self._closed = False

    async def poll(self, *, max_records: int, timeout_s: float) -> list[Record]:
        self._attend()
        loop = asyncio.get_running_loop()
        deadline_s = loop.time() + timeout_s
        with unavailable_when_redis_fails():
            if self._shared_s < 0:
                await check_partitions(self._client, self._topic, self._partitions)
            while True:
                if loop.time() - self._shared_s >= self._share_s:
                    await self._share("take")
                if not self._inbox:
                    await self._fetch(max_records, deadline_s - loop.time())
                if self._inbox or loop.time() >= deadline_s:
                    return self._inbox.take(max_records)

    async def commit(self, last: Mapping[int, Record]) -> None:
        due, refused = self._inbox.committable(last)
        if due:
            with unavailable_when_redis_fails():
                refused += await self._commit(due)
        if refused:
            raise CommitRefused

    async def keep_alive(self) -> None:
        self._attend()  # the renewing task checks the time noted there

    async def rewind(self) -> None:
        partitions = list(self._read_to)
        committed: Any = []
        if partitions:
            names = [str(partition) for partition in partitions]
            with unavailable_when_redis_fails():
                committed = await self._client.hmget(self._keys.committed(self._group), names)
        self._inbox.forget(partitions)
        for partition, position in zip(partitions, committed, strict=True):
            if partition in self._read_to:  # lost meanwhile, maybe
                self._read_to[partition] = parse_id((position or b"0-0").decode())

    async def close(self) -> None:
        if self._closed:
            return
        self._closed = True
        self._leaving.set()
        if self._renewing is not None:
            # The task is not cancelled, because redis-py may swallow a cancellation.
            await asyncio.wait([self._renewing])
        keys = [self._keys.readers(self._group), self._keys.leases(self._group)]
        try:
            await self._scripts["leave"](keys=keys, args=[self._token])
        except (RedisError, OSError):
            logger.warning(
                "closed without releasing its leases; they end by themselves",
                extra={"action": "reader.not_closed"},
            )
        await self._client.aclose()

    # --- leases -----------------------------------------------------------------------------

    def _attend(self) -> None:
        if self._closed:
            raise LogUnavailable("the reader is closed")
        self._attended_s = asyncio.get_running_loop().time()
        if self._renewing is None:
            self._renewing = asyncio.create_task(self._keep_renewing())

    async def _keep_renewing(self) -> None:
        """Renew the leases between two polls, until the reader is closed.

        Leases are not renewed while the owner has neither polled nor kept alive for
        `max_poll_interval_s`.
        """
        loop = asyncio.get_running_loop()
        while True:
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._leaving.wait(), self._share_s)
                return
            if loop.time() - self._attended_s <= self._max_poll_interval_s:
                try:
                    await self._share("keep")
                except (RedisError, OSError):
                    logger.warning(
                        "leases of partitions not renewed; trying again",
                        extra={"action": "reader.not_renewed"},
                    )
                except Exception:  # the next renewal may go through
                    logger.exception(
                        "renewal of leases failed; trying again", extra={"action": "reader.fault"}
                    )

    async def _share(self, mode: str) -> None:
        """Renew the leases, and forget the partitions whose leases were lost.

        `mode`: "take" also gives back or takes leases up to a fair share; "keep" does not.
        """
        ours_first = sorted(range(self._partitions), key=lambda p: p not in self._read_to)
        keys = [
            self._keys.readers(self._group),
            self._keys.leases(self._group),
            self._keys.committed(self._group),
        ]
        async with self._sharing:  # the replies must be handled in the order of the requests
            reply: Any = await self._scripts["share"](
                keys=keys, args=[self._token, round(self._lease_s * 1000), mode, *ours_first]
            )
            held = {partition for partition, taken, *_ in reply if not taken}
            self._forget(self._read_to.keys() - held)
            for partition, taken, *committed in reply:
                if taken:
                    self._read_to[partition] = parse_id(committed[0].decode())
        if mode == "take":
            self._shared_s = asyncio.get_running_loop().time()

    def _forget(self, partitions: set[int]) -> None:
        self._inbox.forget(partitions)
        for partition in partitions:
            self._read_to.pop(partition, None)
            self._commits.pop(partition, None)

    # --- records ----------------------------------------------------------------------------

    async def _fetch(self, max_records: int, wait_s: float) -> None:
        """Fill the inbox, and wait for the first record `wait_s` or `_share_s`, the shorter one."""
        wait_s = max(0.001, min(wait_s, self._share_s))
        if not self._read_to:
            await asyncio.sleep(wait_s)
            return
        block_ms: int | None = max(1, round(wait_s * 1000))
        a_partition = -(-min(max_records, AT_ONCE) // len(self._read_to))
        while self._inbox.has_room(max_records) and await self._read(a_partition, block_ms):
            block_ms = None

    async def _read(self, a_partition: int, block_ms: int | None) -> bool:
        ours = {self._keys.stream(p): p for p in self._read_to}
        after: dict[Any, Any] = {s: format_id(self._read_to[p]) for s, p in ours.items()}
        found: Any = await self._client.xread(after, count=a_partition, block=block_ms)
        for stream, entries in found:
            partition = ours[stream.decode()]
            if partition in self._read_to:  # lost meanwhile, maybe
                self._inbox.put(decode(self._topic, partition, *entry) for entry in entries)
                self._read_to[partition] = parse_id(entries[-1][0].decode())
        return bool(found)

    async def _commit(self, due: Mapping[int, tuple[int, int]]) -> list[int]:
        """Commit these positions, and return the partitions whose lease this reader has lost."""
        keys = [self._keys.leases(self._group), self._keys.committed(self._group)]
        arguments: list[str | int] = [self._token]
        for partition, entry_id in due.items():
            keys.append(self._keys.stream(partition))
            kept = self._commits.setdefault(partition, deque(maxlen=KEPT_COMMITS))
            trim = kept[0] if len(kept) == KEPT_COMMITS else ""
            arguments += (partition, format_id(entry_id), trim)
        done: Any = await self._scripts["commit"](keys=keys, args=arguments)
        lost = {partition for partition, ok in zip(due, done, strict=True) if not ok}
        self._forget(lost)
        for partition, entry_id in due.items():
            if partition in self._commits:  # lost meanwhile, maybe
                self._commits[partition].append(format_id(entry_id))
                self._inbox.note_committed({partition: entry_id})
        return sorted(lost)
