"""Test how long the broker is asked to gather records: by the rate at which records come."""

from __future__ import annotations

import pytest

from messaging.eventlog.kafka import pace
from messaging.eventlog.kafka.pace import BUSY_RATE, BUSY_WAIT_MS, IDLE_WAIT_MS, WAIT_MS, Pace


@pytest.mark.parametrize(
    ("records", "wait_ms"),
    [
        (0, IDLE_WAIT_MS),
        (1, WAIT_MS),
        (BUSY_RATE // 10, WAIT_MS),
        (BUSY_RATE // 10 + 1, BUSY_WAIT_MS),
    ],
)
def test_the_wait_follows_the_rate_since_the_last_fetch(
    records: int, wait_ms: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    now_s = 50.0
    monkeypatch.setattr(pace.time, "monotonic", lambda: now_s)
    followed = Pace()
    for _ in range(3):
        followed.wait_ms(100_000)
        now_s += 0.1
        assert followed.wait_ms(records) == wait_ms
