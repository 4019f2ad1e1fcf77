"""Test how the scenarios judge their measurements."""

from __future__ import annotations

import io

import pytest

from bench.laps.stored_lag import StoredLag
from bench.laps.watch import Seen
from bench.scenarios.drain import Drained
from bench.scenarios.sustain import slope
from messaging.progress import Progress


class TestDrain:
    def test_counts_from_the_first_rows_to_the_last(self) -> None:
        drained = Drained(1_000)
        for pending, now_s in ((1_000, 10.0), (1_000, 12.0), (900, 12.5), (400, 13.5), (0, 14.5)):
            drained.see(pending, now_s)
        result = drained.result
        assert (result.measured, result.measured_s, result.rate) == (900, 2.0, 450)
        assert result.answered == 1_000

    def test_leaves_out_what_never_moved(self) -> None:
        drained = Drained(1_000)
        for pending, now_s in ((800, 1.0), (20, 2.0), (-1, 3.0), (20, 30.0), (25, 40.0)):
            drained.see(pending, now_s)
        assert (drained.pending, drained.last_s, drained.result.rate) == (20, 2.0, 780)


def test_a_backlog_grows_by_the_slope_of_its_samples() -> None:
    assert slope([5, 8, 11, 14]) == pytest.approx(3)
    assert slope([40, 0, 40, 0, 40]) == pytest.approx(0)
    assert slope([7]) == 0


def test_a_message_is_stored_at_the_first_sample_without_it() -> None:
    seen = Seen()
    lag = StoredLag(seen)
    lag.see({b"1": 1_000.0, b"2": 1_004.0}, 1_010.0)
    lag.see({b"2": 1_004.0, b"3": 1_015.0}, 1_020.0)
    assert [count for _, count in seen.stored_after.spread()] == [1]
    lag.see({}, 1_104.0)
    assert seen.stored_after.percentile_ms(1) == pytest.approx(20, rel=0.02)
    assert seen.stored_after.largest_us == 100_000
    assert len(seen.stored_after) == 3


class TestProgress:
    def test_is_a_bar_on_a_terminal(self) -> None:
        stream = io.StringIO()
        stream.isatty = lambda: True  # type: ignore[method-assign]
        progress = Progress(stream)
        progress.begin("closed loop")
        progress.update(0.5, "10 answered")
        progress.end("done")
        *_, bar, blank, last = stream.getvalue().split("\r")
        assert bar.startswith("█" * 12 + "░" * 12 + "  50%  closed loop  10 answered")
        assert not blank.strip()
        assert last == "done\n"

    def test_is_lines_elsewhere(self) -> None:
        stream = io.StringIO()
        progress = Progress(stream)
        progress.begin("closed loop")
        for _ in range(100):
            progress.update(0.5)
        progress.end("done")
        assert stream.getvalue() == "done\n"
