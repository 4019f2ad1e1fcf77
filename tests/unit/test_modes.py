from __future__ import annotations

import re
from pathlib import Path

import pytest

from messaging.domain.modes import BACKENDS, MODES, Mode, Reads, Sends, Status, mode_of
from messaging.metrics import catalogue

ROOT = Path(__file__).resolve().parents[2]
NAMES = {"Redis": "cache", "Kafka": "log", "MySQL": "store"}
ROW = re.compile(r"^\| ([^|]+) \| 200 \| `(\w+)` \| `(\w+)` \| `([\w, ]+)` \|$", re.MULTILINE)


def documented() -> dict[frozenset[str], tuple[str, str, str]]:
    """Return the modes as docs/reliability.md shows them, by the backends that are away."""
    text = (ROOT / "docs" / "reliability.md").read_text()
    return {
        frozenset(BACKENDS)
        if away == "all three"
        else frozenset(name for word, name in NAMES.items() if word in away): (status, sends, reads)
        for away, status, sends, reads in ROW.findall(text)
    }


def test_every_mode_is_in_the_table_and_in_the_document() -> None:
    assert len(MODES) == 2 ** len(BACKENDS)
    assert documented() == {
        away: (mode.status.value, mode.sends.value, mode.reads.value)
        for away, mode in MODES.items()
    }


def test_the_metrics_name_the_same_backends() -> None:
    assert catalogue.BACKENDS == BACKENDS


@pytest.mark.parametrize("away", MODES, ids=lambda away: "+".join(sorted(away)) or "nothing")
def test_a_service_that_takes_no_sends_refuses_whatever_is_away(away: frozenset[str]) -> None:
    refusing = mode_of(away, takes_sends=False)
    assert refusing == Mode(Status.REFUSING, Sends.REFUSED, MODES[away].reads)
    assert (MODES[away].status is Status.REFUSING) == (MODES[away].sends is Sends.REFUSED)


def test_reads_are_whole_only_while_what_they_read_is_there() -> None:
    for away, mode in MODES.items():
        assert (mode.reads is Reads.ALL) == (not away & {"cache", "store"})


def test_sends_are_confirmed_by_a_part_that_is_there() -> None:
    for away, mode in MODES.items():
        if away == set(BACKENDS):
            assert mode.sends is Sends.REFUSED
        else:
            assert mode.sends in set(BACKENDS) - away
