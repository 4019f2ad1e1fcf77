"""Give message ids under worker leases, and name conversations.

Pure but for the clock that is given.

Layout of a message id, most significant first: 41 bits of milliseconds since 2022-01-01T00:00:00Z,
5 of datacenter, 5 of worker, 12 of sequence. The upper 6 bits of the sequence count, the lower 6
are the shard of the conversation. Two generators never share a (datacenter, worker) pair, because
the pair is leased (`WorkerLease`, kept by `runtime.worker_lease`).
"""

from __future__ import annotations

import os
import threading
import time
import weakref
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum

from msgspec.structs import replace

from messaging.domain.errors import IdsUnavailable
from messaging.domain.message import ChatType, Message

EPOCH_MS = 1_640_995_200_000  # 2022-01-01T00:00:00Z
WORKER_BITS = 5
SEQUENCE_BITS = 12
NODE_SHIFT = SEQUENCE_BITS
TIME_SHIFT = SEQUENCE_BITS + 2 * WORKER_BITS
SHARD_BITS = 6
SHARDS = 1 << SHARD_BITS
LAST_COUNT = (1 << (SEQUENCE_BITS - SHARD_BITS)) - 1  # of the ids of one millisecond
WORKERS = 1 << WORKER_BITS
NODES = WORKERS * WORKERS
AHEAD_MS = 5_000  # a larger lead of ids over the wall clock wants another worker id
FULL_MS = 20  # full milliseconds alone may bring ids so far ahead
SET_BACK_FOR_S = 60.0


def wall_clock_ms() -> int:
    return time.time_ns() // 1_000_000


def time_of_id(message_id: int) -> int:
    """Return the millisecond (since 1970) in which this id was given."""
    return (message_id >> TIME_SHIFT) + EPOCH_MS


def node_of_id(message_id: int) -> int:
    """Return the (datacenter, worker) pair that gave this id, as datacenter * 32 + worker."""
    return (message_id >> NODE_SHIFT) & (NODES - 1)


def shard_of(conversation_id: str) -> int:
    """Return the shard of a conversation, which is in the id of each of its messages.

    The function must never change, because its results are a part of the ids that were given.
    """
    return zlib.crc32(conversation_id.encode()) & (SHARDS - 1)


def first_id_at(time_ms: int) -> int:
    """Return the smallest id that could be given at this millisecond (since 1970)."""
    return max(time_ms - EPOCH_MS, 0) << TIME_SHIFT


def under_id(message: Message, message_id: int) -> Message:
    """Return the same message under another id, sent at the time of that id."""
    return replace(message, id=message_id, send_time=time_of_id(message_id))


def private_conversation(user_id: int, other_id: int) -> str:
    low, high = sorted((user_id, other_id))
    return f"{low}_{high}"


def group_conversation(group_id: int) -> str:
    return f"g{group_id}"


def is_group(conversation_id: str) -> bool:
    """Tell whether this is the conversation of a group."""
    return conversation_id.startswith("g")


def group_of(conversation_id: str) -> int | None:
    """Return the group of a conversation; None for a private conversation."""
    return int(conversation_id[1:]) if is_group(conversation_id) else None


def parties_of(conversation_id: str) -> set[int]:
    """Return the one or two users of a private conversation."""
    return set(map(int, conversation_id.split("_")))


def conversation_id(*, chat_type: ChatType, user_id: int, target_id: int) -> str:
    """Return the id of the conversation between a user and a target (a user or a group)."""
    if chat_type is ChatType.GROUP:
        return group_conversation(target_id)
    return private_conversation(user_id, target_id)


class ClockHealth(StrEnum):
    """Describe the wall clock of a process, as seen by its ids."""

    RIGHT = "right"
    SET_BACK = "set-back"  # a moment ago: ids ran ahead, or had to change their worker id


@dataclass(frozen=True, slots=True)
class WorkerLease:
    """Hold the right to give ids as one (datacenter, worker) pair until `valid_until_s`.

    `node`: datacenter * 32 + worker.
    `owner`: a random token, never two processes' at once.
    `valid_until_s`: a time of `time.monotonic`; the holder stops by itself when it passes.
    `fenced`: Redis holds the lease, so that an accept can check the lease in the same round trip.
    `after_ms`: the last time that a holder before may have used; the pair's ids bear later times.
    `until_ms`: the last time that the pair's ids bear. The time is noted with the lease, and the
    next holder begins after it.
    """

    node: int
    owner: str
    valid_until_s: float
    fenced: bool
    after_ms: int = 0
    until_ms: int = EPOCH_MS + 2**41 - 1


class SnowflakeIdGenerator:
    """Give 64-bit ids that grow, from one leased worker id; safe to call from any thread.

    The time in an id is the wall clock's while the wall clock moves on. Where the wall clock was
    set back, or a millisecond is full (64 ids), a logical clock goes on from the last id: it
    counts, and takes the next millisecond when one is used up. No caller waits.

    `wants_lease` is set and `on_step` called once when ids run more than `AHEAD_MS` ahead of the
    wall clock, or the wall clock has left the times of the lease: under another worker id the real
    time is free. A forked child refuses to give ids until it has a lease of its own.

    Raises: IdsUnavailable without a valid lease, or when the times of the lease are used up.
    """

    def __init__(
        self,
        *,
        clock_ms: Callable[[], int] = wall_clock_ms,
        monotonic_s: Callable[[], float] = time.monotonic,
    ) -> None:
        self.on_step: Callable[[], None] | None = None  # called in the thread that asks for an id
        self.wants_lease = False
        self._clock_ms = clock_ms
        self._monotonic_s = monotonic_s
        self._lock = threading.Lock()
        self._lease: WorkerLease | None = None
        self._node = -1
        self._last_ms = 0
        self._count = 0
        self._behind_s = float("-inf")  # when the clock was last seen behind an id, monotonic
        _generators.add(self)

    @property
    def lease(self) -> WorkerLease | None:
        return self._lease

    @property
    def lease_left_s(self) -> float:
        """Return for how long this generator may still give ids; 0 without a valid lease."""
        lease = self._lease
        return 0.0 if lease is None else max(lease.valid_until_s - self._monotonic_s(), 0.0)

    @property
    def clock(self) -> ClockHealth:
        """Return SET_BACK for a minute after the clock was last seen far behind an id."""
        is_back = self._monotonic_s() - self._behind_s < SET_BACK_FOR_S
        return ClockHealth.SET_BACK if is_back else ClockHealth.RIGHT

    def behind_ms(self) -> int:
        """Return how far (ms) the wall clock is behind the last id; 0 where it is not."""
        return max(self._last_ms - self._clock_ms(), 0)

    def now_ms(self) -> int:
        """Return the wall clock's time (ms since 1970)."""
        return self._clock_ms()

    def use(self, lease: WorkerLease | None) -> None:
        """Give ids under this lease from now on; with None, give no more."""
        with self._lock:
            self._lease = lease
            self.wants_lease = False
            if lease is None or lease.node == self._node:
                return
            self._node = lease.node
            # Ids that keep growing are better than the real time, but not for ever.
            keeps_growing = self._last_ms - self._clock_ms() <= AHEAD_MS
            self._last_ms = max(self._last_ms, lease.after_ms) if keeps_growing else lease.after_ms
            self._count = LAST_COUNT  # the ids of another node in this time may be larger

    def go_past(self, time_ms: int) -> None:
        """Give ids of times later than this one (ms since 1970) from now on.

        The logical clock goes ahead of a wall clock that is behind.
        """
        with self._lock:
            if self._last_ms <= time_ms:
                self._last_ms, self._count = time_ms, LAST_COUNT

    def next_id(self, conversation_id: str) -> int:
        with self._lock:
            lease = self._lease
            if lease is None or self._monotonic_s() >= lease.valid_until_s:
                raise IdsUnavailable("no worker id is leased")
            now_ms, last_ms = self._clock_ms(), self._last_ms
            if last_ms < now_ms <= lease.until_ms:
                self._last_ms, self._count = now_ms, 0
            elif now_ms != last_ms or self._count == LAST_COUNT:
                self._count_on(lease, now_ms)
            else:
                self._count += 1
            used_ms, count = self._last_ms, self._count
        sequence = count << SHARD_BITS | shard_of(conversation_id)
        return (used_ms - EPOCH_MS) << TIME_SHIFT | lease.node << NODE_SHIFT | sequence

    def _count_on(self, lease: WorkerLease, now_ms: int) -> None:
        """Take the next id of the logical clock, where the wall clock's time cannot be used.

        Raises: IdsUnavailable when the times of the lease are used up.
        """
        if self._last_ms - now_ms > FULL_MS:  # a full millisecond is no step of the clock
            self._behind_s = self._monotonic_s()
        if not self.wants_lease and (self._last_ms - now_ms > AHEAD_MS or now_ms > lease.until_ms):
            self.wants_lease = True
            if self.on_step is not None:
                self.on_step()
        if self._last_ms == 0:  # a first id, by a clock that has left the lease behind
            self._last_ms, self._count = lease.until_ms, 0
        elif self._count < LAST_COUNT:
            self._count += 1
        elif self._last_ms < lease.until_ms:
            self._last_ms, self._count = self._last_ms + 1, 0
        else:
            raise IdsUnavailable("the lease of the worker id has no time left")

    def _leave_to_parent(self) -> None:
        """Drop the lease in a forked child, for the lease is the parent's, and replace the lock.

        A thread of the parent may have held the lock, which nobody would release in the child.
        """
        self._lock = threading.Lock()
        self._lease = None


_generators: weakref.WeakSet[SnowflakeIdGenerator] = weakref.WeakSet()


def _leave_leases_to_parent() -> None:
    for generator in _generators:
        generator._leave_to_parent()


os.register_at_fork(after_in_child=_leave_leases_to_parent)
