"""Test when requests are due, and that a stall cannot hide the requests that it delays."""

from __future__ import annotations

from bench.load.histogram import Histogram
from bench.load.schedule import NANOSECONDS, Schedule

MS = NANOSECONDS // 1_000


def open_loop(*, rate: float = 1_000, seconds: float = 1, **options: int) -> Schedule:
    """Return a schedule that starts at second 5."""
    start_ns = 5 * NANOSECONDS
    stop_ns = start_ns + int(seconds * NANOSECONDS)
    return Schedule(start_ns=start_ns, stop_ns=stop_ns, rate=rate, **options)


def taken(schedule: Schedule, now_ns: int) -> list[int]:
    """Take all requests that are due, and return their times in ms from the start."""
    found = []
    while due_ns := schedule.take(now_ns):
        found.append((due_ns - 5 * NANOSECONDS) // MS)
    return found


class TestAnOpenLoop:
    def test_is_due_at_its_rate_whenever_it_is_asked(self) -> None:
        schedule = open_loop()
        assert taken(schedule, 5 * NANOSECONDS) == [0]
        assert schedule.next_due_ns() == 5 * NANOSECONDS + MS
        assert taken(schedule, 5 * NANOSECONDS + 3 * MS) == [1, 2, 3]
        assert taken(schedule, 5 * NANOSECONDS + 3 * MS) == []

    def test_takes_all_that_its_time_holds_and_no_more(self) -> None:
        schedule = open_loop()
        assert not schedule.is_over(7 * NANOSECONDS)
        assert taken(schedule, 7 * NANOSECONDS) == [*range(1_000)]
        assert schedule.is_over(7 * NANOSECONDS)
        assert schedule.next_due_ns() is None

    def test_does_not_drift(self) -> None:
        assert len(taken(open_loop(rate=333, seconds=60), 100 * NANOSECONDS)) == 333 * 60

    def test_ends_at_its_limit(self) -> None:
        assert taken(open_loop(limit=3), 7 * NANOSECONDS) == [0, 1, 2]


class TestAClosedLoop:
    def test_is_due_at_any_time_until_it_stops(self) -> None:
        schedule = Schedule(start_ns=10, stop_ns=20)
        assert [schedule.take(now_ns) for now_ns in (10, 19, 20, 21)] == [10, 19, 0, 0]
        assert not schedule.is_over(19)
        assert schedule.is_over(20)
        assert schedule.next_due_ns() is None

    def test_ends_at_its_limit(self) -> None:
        schedule = Schedule(start_ns=10, stop_ns=99, limit=2)
        assert [schedule.take(11) for _ in range(3)] == [11, 11, 0]
        assert schedule.is_over(11)


def test_a_stall_is_in_the_latency_of_all_that_were_due_meanwhile() -> None:
    """A server of 0.1 ms stands still for half of a second, so half of the requests wait."""
    schedule, latencies = open_loop(rate=1_000, seconds=1), Histogram()
    stall_ns = 5 * NANOSECONDS + 250 * MS, 5 * NANOSECONDS + 750 * MS
    now_ns = 5 * NANOSECONDS
    while not schedule.is_over(now_ns):
        due_ns = schedule.take(now_ns)
        if not due_ns:
            now_ns = schedule.next_due_ns() or now_ns
            continue
        if stall_ns[0] <= now_ns < stall_ns[1]:
            now_ns = stall_ns[1]
        now_ns += MS // 10
        latencies.add((now_ns - due_ns) // 1_000)
    assert latencies.percentile_ms(40) < 1
    assert 200 < latencies.percentile_ms(75) < 350
    assert 480 < latencies.percentile_ms(99) < 510
