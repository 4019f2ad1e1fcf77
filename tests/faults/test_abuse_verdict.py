"""Test the verdict on abuse, by transcripts written by hand: noticed abuse is a violation."""

from __future__ import annotations

import pytest

from tests.faults.abuse_verdict import ENOUGH_SENDS, judge_abuse
from tests.faults.transcript import Mark, Operation, Transcript

MIB = 2.0**20


def story(
    *, before_s: float = 0.01, beside_s: float = 0.01, status: int = 200, grown: float = 1.0
) -> Transcript:
    """Return a run with enough sends before the abuse, which begins at 1,000 s, and beside it."""
    transcript = Transcript()
    for first_s, took_s in ((0.0, before_s), (1_000.0, beside_s)):
        for n in range(ENOUGH_SENDS):
            transcript.add(
                Operation(
                    kind="send",
                    user=1,
                    conversation="1_2",
                    invoked_s=first_s + n,
                    completed_s=first_s + n + took_s,
                    status=status if first_s else 200,
                )
            )
    for mark in (
        Mark("fault", 900.0),
        Mark("memory before", 950.0, 100 * MIB),
        Mark("abuse", 1_000.0),
        Mark("mending", 2_000.0),
        Mark("memory after", 2_100.0, 100 * MIB * grown),
    ):
        transcript.add(mark)
    return transcript


def told(transcript: Transcript) -> list[str]:
    return [violation.what for violation in judge_abuse(transcript)]


def test_what_nobody_notices_passes() -> None:
    assert told(story(beside_s=0.029, grown=1.09)) == []


@pytest.mark.parametrize("status", [0, 429, 500, 503])
def test_an_ordinary_client_is_refused(status: int) -> None:
    assert len(told(story(status=status))) == ENOUGH_SENDS


def test_a_refusal_of_bad_input_is_nothing_to_notice() -> None:
    assert told(story(status=404)) == []


@pytest.mark.parametrize(
    ("figures", "text"),
    [
        ({"beside_s": 0.04}, "sends took longer"),
        ({"before_s": 0.9, "beside_s": 1.1}, "a send took long"),
        ({"grown": 1.2}, "the memory is not back"),
    ],
)
def test_slow_answers_and_growth_are_noticed(figures: dict[str, float], text: str) -> None:
    (found,) = told(story(**figures))
    assert found.startswith(text)
