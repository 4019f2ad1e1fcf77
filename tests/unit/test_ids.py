"""Test message ids: their layout, their order, and that none is given twice."""

from __future__ import annotations

import os
import threading
import time
import warnings
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace

import pytest

from messaging.domain import ids
from messaging.domain.errors import IdsUnavailable
from messaging.domain.ids import ClockHealth, SnowflakeIdGenerator, WorkerLease
from messaging.domain.message import ChatType

NOW_MS = 1_800_000_000_000
FOR_EVER = float("inf")


@dataclass
class GivenClock:
    """Give the time that the test sets."""

    now_ms: float = NOW_MS

    def __call__(self) -> int:
        return int(self.now_ms)


def lease(node: int = 37, valid_until_s: float = FOR_EVER) -> WorkerLease:
    return WorkerLease(node, "owner", valid_until_s, fenced=True)


def generator(clock: GivenClock, node: int = 37) -> SnowflakeIdGenerator:
    made = SnowflakeIdGenerator(clock_ms=clock)
    made.use(lease(node))
    return made


class TestLayout:
    def test_is_41_bits_of_time_10_of_node_and_12_of_sequence(self) -> None:
        clock = GivenClock()
        given = generator(clock, node=0b10110_01101)

        first, second = given.next_id("1_2"), given.next_id("1_2")

        assert first >> 63 == 0
        assert (first >> 22) & (2**41 - 1) == NOW_MS - 1_640_995_200_000
        assert (first >> 17) & 0b11111 == 0b10110  # the datacenter
        assert (first >> 12) & 0b11111 == 0b01101  # the worker
        assert first & 0xFFF == ids.shard_of("1_2")
        assert second == first + 64

    def test_counts_from_the_first_of_january_2022(self) -> None:
        first = generator(GivenClock(ids.EPOCH_MS), node=0).next_id("1_2")
        assert first == ids.shard_of("1_2") < 64
        assert ids.time_of_id(0) == 1_640_995_200_000

    def test_fits_a_signed_64_bit_number_until_2091(self) -> None:
        last_ms = ids.EPOCH_MS + 2**41 - 1

        message_id = generator(GivenClock(last_ms), node=1023).next_id("1_2")

        assert 2**62 < message_id < 2**63
        assert ids.time_of_id(message_id) == last_ms

    def test_tells_its_time_and_the_first_id_of_a_time(self) -> None:
        message_id = generator(GivenClock()).next_id("1_2")

        assert ids.time_of_id(message_id) == NOW_MS
        assert ids.first_id_at(NOW_MS) <= message_id < ids.first_id_at(NOW_MS + 1)
        assert ids.first_id_at(0) == 0

    def test_names_the_shard_of_its_conversation(self) -> None:
        """The shard of an id that was given never changes, so these numbers are fixed for ever."""
        fixed = {"1_2": 46, "9_10": 36, "g7": 16, "g2": 31, "7_7": 19}
        given = generator(GivenClock())
        found = {name: given.next_id(name) for name in fixed}
        assert {name: each & (ids.SHARDS - 1) for name, each in found.items()} == fixed
        assert list(found.values()) == sorted(found.values())

    def test_spreads_conversations_evenly_over_the_shards(self) -> None:
        names = [ids.private_conversation(n, n * 7 % 1_000 + 1) for n in range(6_400)]
        counts = Counter(map(ids.shard_of, names))
        assert len(counts) == ids.SHARDS
        assert max(counts.values()) < 2 * len(names) / ids.SHARDS

    def test_a_conversation_has_one_id_from_both_sides(self) -> None:
        assert ids.private_conversation(10, 9) == ids.private_conversation(9, 10) == "9_10"
        assert ids.private_conversation(7, 7) == "7_7"
        assert ids.is_group(ids.group_conversation(7))
        assert not ids.is_group(ids.private_conversation(7, 8))
        for chat_type, expected in ((ChatType.PRIVATE, "1_2"), (ChatType.GROUP, "g2")):
            made = ids.conversation_id(chat_type=chat_type, user_id=1, target_id=2)
            assert made == expected


class TestGenerator:
    @pytest.mark.parametrize("ahead_ms", [-1, 0, 250])
    def test_goes_past_a_time_without_waiting_for_it(self, ahead_ms: int) -> None:
        given = generator(GivenClock())
        first = given.next_id("1_2")

        given.go_past(NOW_MS + ahead_ms)
        made = [first, *(given.next_id("1_2") for _ in range(200))]

        assert made == sorted(set(made))
        assert ids.time_of_id(made[1]) == NOW_MS + max(ahead_ms + 1, 0)

    def test_gives_growing_ids(self) -> None:
        clock = GivenClock()
        given = generator(clock)
        made = []
        for step in range(2_000):
            made.append(given.next_id("1_2"))
            clock.now_ms += step % 3 / 2

        assert made == sorted(set(made))

    def test_takes_the_next_millisecond_when_one_is_full(self) -> None:
        given = generator(GivenClock())

        made = [given.next_id("1_2") for _ in range(65)]

        assert ids.time_of_id(made[-2]) == NOW_MS
        assert ids.time_of_id(made[-1]) == NOW_MS + 1
        assert made[-1] & 0xFFF == ids.shard_of("1_2")
        assert made == sorted(set(made))
        assert given.clock is ClockHealth.RIGHT

    def test_gives_each_id_once_to_many_threads(self) -> None:
        given = SnowflakeIdGenerator()
        given.use(lease())
        with ThreadPoolExecutor(16) as threads:
            runs = list(
                threads.map(lambda _: [given.next_id("1_2") for _ in range(2_000)], range(16))
            )

        assert len({message_id for run in runs for message_id in run}) == 32_000
        assert all(run == sorted(run) for run in runs)

    def test_shares_no_id_with_another_node(self) -> None:
        clock = GivenClock()
        one, other = generator(clock, node=1), generator(clock, node=2)

        made = [each.next_id("1_2") for _ in range(64) for each in (one, other)]

        assert len(set(made)) == len(made)

    def test_gives_growing_ids_while_the_clock_catches_up(self) -> None:
        clock = GivenClock()
        given = generator(clock)
        made = [given.next_id("1_2") for _ in range(3)]

        clock.now_ms -= 3_000
        made += [given.next_id("1_2") for _ in range(160)]
        assert ids.time_of_id(made[-1]) == NOW_MS + 2
        assert not given.wants_lease
        assert (given.clock, given.behind_ms()) == (ClockHealth.SET_BACK, 3_002)

        clock.now_ms += 3_500
        made += [given.next_id("1_2") for _ in range(3)]
        assert ids.time_of_id(made[-1]) == NOW_MS + 500
        assert made == sorted(set(made))

    def test_goes_on_after_a_far_step_back_and_asks_for_another_worker_id_once(self) -> None:
        clock, steps = GivenClock(), []
        given = generator(clock)
        given.on_step = lambda: steps.append(clock())
        made = [given.next_id("1_2") for _ in range(3)]

        clock.now_ms -= 600_000
        made += [given.next_id("1_2") for _ in range(3)]
        assert made == sorted(set(made))
        assert (given.wants_lease, len(steps)) == (True, 1)

        given.use(lease(node=38))
        assert ids.time_of_id(given.next_id("1_2")) == NOW_MS - 600_000
        assert not given.wants_lease

    def test_grows_on_under_another_node_after_a_small_step_back(self) -> None:
        clock = GivenClock()
        given = generator(clock)
        before = given.next_id("1_2")

        clock.now_ms -= 3_000
        given.use(lease(node=1))

        assert given.next_id("1_2") > before

    def test_never_leaves_the_times_of_its_lease(self) -> None:
        """The next holder of the worker id begins after the times of this lease."""
        clock = GivenClock()
        given = SnowflakeIdGenerator(clock_ms=clock)
        given.use(replace(lease(), after_ms=NOW_MS + 5, until_ms=NOW_MS + 600_000))
        made = [given.next_id("1_2") for _ in range(3)]
        assert ids.time_of_id(made[0]) == NOW_MS + 6

        clock.now_ms += 700_000
        made += [given.next_id("1_2") for _ in range(3)]
        assert ids.time_of_id(made[-1]) == NOW_MS + 6
        assert given.wants_lease

        given.use(replace(lease(), until_ms=NOW_MS + 1_300_000))
        made.append(given.next_id("1_2"))
        assert ids.time_of_id(made[-1]) == NOW_MS + 700_000
        assert made == sorted(set(made))


class TestLease:
    def test_is_needed(self) -> None:
        given = SnowflakeIdGenerator()
        assert given.lease is None
        with pytest.raises(IdsUnavailable):
            given.next_id("1_2")

        given.use(lease())
        given.next_id("1_2")
        given.use(None)

        with pytest.raises(IdsUnavailable):
            given.next_id("1_2")

    def test_ends_by_itself(self) -> None:
        now_s = 100.0
        given = SnowflakeIdGenerator(monotonic_s=lambda: now_s)
        given.use(lease(valid_until_s=100.5))
        given.next_id("1_2")

        now_s = 100.5

        with pytest.raises(IdsUnavailable):
            given.next_id("1_2")

    def test_goes_on_without_repeats_under_the_same_node(self) -> None:
        clock = GivenClock()
        given = generator(clock)
        made = [given.next_id("1_2") for _ in range(5)]

        given.use(lease())
        made += [given.next_id("1_2") for _ in range(5)]

        assert len(set(made)) == 10


def succeeds_in_child(check: Callable[[], bool]) -> bool:
    """Run a check in a forked child, and tell whether it succeeds."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # Python warns of a fork beside threads
        child = os.fork()
    if child == 0:
        code = 1
        try:
            code = 0 if check() else 1
        finally:
            os._exit(code)
    deadline = time.monotonic() + 10
    while time.monotonic() < deadline:
        ended, status = os.waitpid(child, os.WNOHANG)
        if ended:
            return os.waitstatus_to_exitcode(status) == 0
        time.sleep(0.01)
    os.kill(child, 9)
    os.waitpid(child, 0)
    return False


class TestForkedChild:
    def test_refuses_until_it_has_a_lease_of_its_own(self) -> None:
        given = SnowflakeIdGenerator()
        given.use(lease())

        def refuses_then_gives() -> bool:
            try:
                given.next_id("1_2")
            except IdsUnavailable:
                given.use(lease(node=38))
                return (given.next_id("1_2") >> 12) & 1023 == 38
            return False

        assert succeeds_in_child(refuses_then_gives)
        assert (given.next_id("1_2") >> 12) & 1023 == 37

    def test_is_not_stopped_by_a_thread_of_its_parent_that_was_taking_an_id(self) -> None:
        asked, leave = threading.Event(), threading.Event()

        def slow_clock() -> int:
            asked.set()
            leave.wait(10)
            return NOW_MS

        given = SnowflakeIdGenerator(clock_ms=slow_clock)
        given._lease = lease()
        holder = threading.Thread(target=given.next_id, args=("1_2",))
        holder.start()
        asked.wait(10)

        def refuses() -> bool:
            try:
                given.next_id("1_2")
            except IdsUnavailable:
                return True
            return False

        try:
            assert succeeds_in_child(refuses)
        finally:
            leave.set()
            holder.join()
