"""Test percentiles of latencies against known values."""

from __future__ import annotations

import pickle

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bench.load.histogram import Histogram

TOLERANCE = 1 / 64


def of(*values_us: int) -> Histogram:
    histogram = Histogram()
    for value_us in values_us:
        histogram.add(value_us)
    return histogram


class TestPercentiles:
    def test_are_exact_where_latencies_are_small(self) -> None:
        histogram = of(*range(1, 101))
        told = [histogram.percentile_ms(percent) * 1000 for percent in (1, 50, 90, 99, 100)]
        assert told == [1, 50, 90, 99, 100]

    def test_are_within_their_tolerance_where_they_are_large(self) -> None:
        histogram = of(*range(0, 1_000_000, 10))
        for percent in (10, 50, 90, 99, 99.9):
            wanted_ms = percent * 10
            assert histogram.percentile_ms(percent) == pytest.approx(wanted_ms, rel=TOLERANCE)

    def test_never_exceed_the_largest(self) -> None:
        histogram = of(*[70_001] * 10)
        assert histogram.percentile_ms(50) == histogram.percentile_ms(100) == 70.001

    def test_of_nothing_are_nothing(self) -> None:
        assert (Histogram().percentile_ms(99), Histogram().mean_ms(), len(Histogram())) == (0, 0, 0)

    @given(st.lists(st.integers(0, 10_000_000), min_size=1, max_size=60), st.integers(1, 100))
    def test_are_those_of_a_sorted_list(self, values_us: list[int], percent: int) -> None:
        rank = max(1, -(-len(values_us) * percent // 100))
        wanted_us = sorted(values_us)[rank - 1]
        told_us = of(*values_us).percentile_ms(percent) * 1000
        assert wanted_us * (1 - 1e-9) <= told_us <= wanted_us * (1 + TOLERANCE) + 1e-6


class TestBuckets:
    def test_follow_each_other_without_a_gap(self) -> None:
        first = 0
        for highest_ms, count in of(*range(1 << 17)).spread():
            assert round(highest_ms * 1000) == first + count - 1
            assert count - 1 <= first * TOLERANCE
            first += count
        assert first == 1 << 17

    def test_take_any_latency(self) -> None:
        histogram = of(0, (1 << 31) - 1, 1 << 31, 1 << 40)
        assert histogram.percentile_ms(100) * 1000 == histogram.largest_us == 1 << 40
        assert len(histogram) == 4


class TestMerging:
    def test_two_is_counting_all_in_one(self) -> None:
        one, other = of(5, 700, 80_000), of(6, 700)
        one.merge(other)
        assert one.spread() == of(5, 700, 80_000, 6, 700).spread()
        assert one.largest_us == 80_000

    def test_follows_the_way_from_another_process(self) -> None:
        histogram = of(3, 3, 12_345)
        again = pickle.loads(pickle.dumps(histogram))
        assert (again.spread(), again.largest_us) == (histogram.spread(), 12_345)


def test_the_average_is_a_little_high_at_most() -> None:
    assert of(1_000, 2_000, 6_000).mean_ms() == pytest.approx(3, rel=TOLERANCE)
    assert of(1_000, 2_000, 6_000).mean_ms() >= 3
