"""Check that pauses between attempts grow, and start over after a success."""

from __future__ import annotations

from messaging.domain.backoff import Backoff


def test_each_pause_is_twice_the_one_before_up_to_the_longest() -> None:
    backoff = Backoff(0.25, 1.5)
    assert [backoff.next_s() for _ in range(5)] == [0.25, 0.5, 1.0, 1.5, 1.5]


def test_begins_anew_after_a_reset() -> None:
    backoff = Backoff(0.25, 1.5)
    assert backoff.is_fresh
    assert backoff.next_s() == 0.25
    assert not backoff.is_fresh
    backoff.reset()
    assert backoff.is_fresh
    assert [backoff.next_s() for _ in range(2)] == [0.25, 0.5]
