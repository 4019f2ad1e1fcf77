"""Test when beat asks for a sweep."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from messaging.schedules import Every

NOW = datetime(2026, 1, 1, tzinfo=UTC)


def test_is_due_after_its_time_and_once_the_clock_was_set_back() -> None:
    every = Every(60.0, nowfun=lambda: NOW)
    assert not every.is_due(NOW - timedelta(seconds=59)).is_due
    assert every.is_due(NOW - timedelta(seconds=60)).is_due
    assert tuple(every.is_due(NOW + timedelta(minutes=10))) == (True, 60.0)
