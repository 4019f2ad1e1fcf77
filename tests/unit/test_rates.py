"""Test how fast one client may send requests."""

from __future__ import annotations

from dataclasses import dataclass

import pytest
from hypothesis import given
from hypothesis import strategies as st

from messaging.domain import rates
from messaging.domain.errors import TooManyRequests
from messaging.domain.rates import Rates


@dataclass
class RateClock:
    now_us: int = 1_000_000_000

    def __call__(self) -> int:
        return self.now_us


def test_a_burst_passes_and_then_the_rate() -> None:
    clock = RateClock()
    sender = Rates(rate=10, burst=3, clock_us=clock)
    assert [sender.take(1) for _ in range(3)] == [0.0] * 3
    assert sender.take(1) == pytest.approx(0.1)
    assert sender.take(1) == pytest.approx(0.1)  # being refused costs nothing
    clock.now_us += 101_000
    assert sender.take(1) == 0.0
    assert sender.take(1) > 0


def test_what_is_charged_afterwards_is_waited_for() -> None:
    clock = RateClock()
    sender = Rates(rate=10, burst=3, clock_us=clock)
    assert sender.take(1) == 0.0
    sender.charge(1, 4)
    sender.charge(2, 0)
    assert sender.take(1) == pytest.approx(0.3)
    assert [sender.take(2) for _ in range(3)] == [0.0] * 3
    clock.now_us += 301_000
    assert sender.take(1) == 0.0
    unlimited = Rates(rate=0, burst=0)
    unlimited.charge(1, 1_000)
    assert unlimited.take(1) == 0.0


def test_senders_are_apart() -> None:
    sender = Rates(rate=1, burst=1, clock_us=RateClock())
    assert [sender.take(number) for number in (1, 2, 1, 2)][:2] == [0.0, 0.0]
    assert sender.take(3) == 0.0


def test_a_rate_of_zero_lets_all_pass() -> None:
    sender = Rates(rate=0, burst=1)
    assert [sender.take(1) for _ in range(1_000)] == [0.0] * 1_000


def test_memory_is_bounded_and_the_latest_senders_are_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rates, "MOST_KEYS", 10)
    sender = Rates(rate=1, burst=1, clock_us=RateClock())
    for number in range(100):
        sender.take(number)
    assert len(sender._moved_to_us) == 10
    assert sender.take(99) > 0


@given(st.lists(st.integers(0, 300_000), min_size=1, max_size=60))
def test_no_stretch_of_time_has_more_than_the_burst_and_the_rate(pauses_us: list[int]) -> None:
    clock = RateClock()
    sender = Rates(rate=10, burst=4, clock_us=clock)
    passed_us = []
    for pause_us in pauses_us:
        clock.now_us += pause_us
        if sender.take(1) == 0.0:
            passed_us.append(clock.now_us)
    for first in range(len(passed_us)):
        for last in range(first, len(passed_us)):
            assert last - first + 1 <= 4 + (passed_us[last] - passed_us[first]) / 100_000


def test_what_is_refused_says_how_long_to_wait() -> None:
    rate = Rates(rate=0.2, burst=2, clock_us=RateClock())
    rate.spend(1)
    rate.spend(1)
    with pytest.raises(TooManyRequests) as refused:
        rate.spend(1)
    assert refused.value.retry_after_s == 5
