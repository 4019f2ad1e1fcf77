"""Message ids, worker leases and conversation ids. Pure but for the clock that it is given.

Layout of a message id, most significant first: 41 bits of milliseconds since 2022-01-01T00:00:00Z,
5 of datacenter, 5 of worker, 12 of sequence. Two generators never share a (datacenter, worker)
pair, because the pair is leased (`WorkerLease`, kept by `pipeline.worker_lease`).
"""

from __future__ import annotations

import os
import threading
import time
import weakref
from collections.abc import Callable
from dataclasses import dataclass

from messaging.errors import IdsUnavailable
from messaging.events import ChatType

EPOCH_MS = 1_640_995_200_000  # 2022-01-01T00:00:00Z
WORKER_BITS = 5
SEQUENCE_BITS = 12
NODE_SHIFT = SEQUENCE_BITS
TIME_SHIFT = SEQUENCE_BITS + 2 * WORKER_BITS
SEQUENCE_MASK = (1 << SEQUENCE_BITS) - 1
WORKERS = 1 << WORKER_BITS
NODES = WORKERS * WORKERS


def wall_clock_ms() -> int:
    return time.time_ns() // 1_000_000


def time_of_id(message_id: int) -> int:
    """The millisecond (since 1970) in which this id was given."""
    return (message_id >> TIME_SHIFT) + EPOCH_MS


def node_of_id(message_id: int) -> int:
    """The (datacenter, worker) pair, as datacenter * 32 + worker, that gave this id."""
    return (message_id >> NODE_SHIFT) & (NODES - 1)


def first_id_at(time_ms: int) -> int:
    """The smallest id that could be given at this millisecond."""
    return max(time_ms - EPOCH_MS, 0) << TIME_SHIFT


def private_conversation(user_id: int, other_id: int) -> str:
    low, high = sorted((user_id, other_id))
    return f"{low}_{high}"


def group_conversation(group_id: int) -> str:
    return f"g{group_id}"


def conversation_id(*, chat_type: ChatType, user_id: int, target_id: int) -> str:
    """The conversation between a user and a target (a user or a group)."""
    if chat_type is ChatType.GROUP:
        return group_conversation(target_id)
    return private_conversation(user_id, target_id)


@dataclass(frozen=True, slots=True)
class WorkerLease:
    """The right to give ids as one (datacenter, worker) pair until `valid_until_s`.

    `node` is datacenter * 32 + worker. `owner` is a random token, never two processes' at once.
    `valid_until_s` is on the clock of `time.monotonic`; the holder stops by itself when it passes.
    `fenced` says that Redis holds the lease, so that an accept can check it in the same round trip.
    """

    node: int
    owner: str
    valid_until_s: float
    fenced: bool


class SnowflakeIdGenerator:
    """Gives 64-bit ids that grow, from one leased worker id; safe to call from any thread.

    Raises IdsUnavailable when it holds no valid lease, and when the wall clock is behind the last
    id by more than `max_wait_ms` (it waits that long for the clock to catch up, then refuses; a
    refused call leaves no trace, so no id is ever given twice). A full millisecond (4,096 ids) is
    waited out. A forked child refuses until it has a lease of its own.
    """

    def __init__(
        self,
        *,
        clock_ms: Callable[[], int] = wall_clock_ms,
        monotonic_s: Callable[[], float] = time.monotonic,
        sleep_s: Callable[[float], None] = time.sleep,
        max_wait_ms: int = 20,
    ) -> None:
        self._clock_ms = clock_ms
        self._monotonic_s = monotonic_s
        self._sleep_s = sleep_s
        self._max_wait_ms = max_wait_ms
        self._lock = threading.Lock()
        self._lease: WorkerLease | None = None
        self._last_ms = 0
        self._sequence = 0
        _generators.add(self)

    @property
    def lease(self) -> WorkerLease | None:
        return self._lease

    def use(self, lease: WorkerLease | None) -> None:
        """Give ids under this lease from now on; None: give no more."""
        with self._lock:
            self._lease = lease

    def next_id(self) -> int:
        with self._lock:
            lease = self._lease
            if lease is None or self._monotonic_s() >= lease.valid_until_s:
                raise IdsUnavailable("no worker id is leased")
            now_ms = self._reach(self._last_ms)
            if now_ms == self._last_ms and self._sequence == SEQUENCE_MASK:
                now_ms = self._reach(self._last_ms + 1)
            self._sequence = self._sequence + 1 if now_ms == self._last_ms else 0
            self._last_ms = now_ms
            return (now_ms - EPOCH_MS) << TIME_SHIFT | lease.node << NODE_SHIFT | self._sequence

    def _reach(self, wanted_ms: int) -> int:
        """The clock's millisecond, at least `wanted_ms`; waits a little for it."""
        now_ms = self._clock_ms()
        if now_ms >= wanted_ms:
            return now_ms
        if wanted_ms - now_ms > self._max_wait_ms:
            raise IdsUnavailable(f"the clock moved back by {wanted_ms - now_ms} ms")
        self._sleep_s((wanted_ms - now_ms) / 1000)
        if (now_ms := self._clock_ms()) < wanted_ms:
            raise IdsUnavailable("the clock does not move on")
        return now_ms

    def _leave_to_parent(self) -> None:
        """In a forked child: the lease is the parent's, and so may the lock be, held for ever."""
        self._lock = threading.Lock()
        self._lease = None


_generators: weakref.WeakSet[SnowflakeIdGenerator] = weakref.WeakSet()


def _leave_leases_to_parent() -> None:
    for generator in _generators:
        generator._leave_to_parent()


os.register_at_fork(after_in_child=_leave_leases_to_parent)
