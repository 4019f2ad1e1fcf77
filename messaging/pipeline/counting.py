"""Count what becomes of the messages in the pipeline, for the metrics."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from typing import Protocol

from messaging.domain.ids import time_of_id, wall_clock_ms
from messaging.domain.message import Message
from messaging.metrics import catalogue
from messaging.ports.store import DeadLetter

DEAD_LETTER_REASONS = frozenset(catalogue.dead_letters.labels["reason"])


class Written(Protocol):
    """Name what is counted of the outcome of a write (`write_through.Persisted`)."""

    rows: list[Message]
    duplicates: dict[int, Message]
    refused: list[tuple[Message, str, str]]
    fresh: set[int]


def count_rows(done: Written) -> None:
    """Count the message states of one write by their results."""
    tombstones = sum(row.is_recalled for row in done.rows)
    stored = sum(row.id in done.fresh and not row.is_recalled for row in done.rows)
    conflicts = sum(reason == "id_conflict" for _, reason, _ in done.refused)
    for result, count in (
        ("stored", stored),
        ("tombstone", tombstones),
        ("joined", len(done.rows) - stored - tombstones),
        ("folded", len(done.duplicates)),
        ("conflict", conflicts),
        ("refused", len(done.refused) - conflicts),
    ):
        catalogue.rows.add(result, n=count)


def count_lag(message_ids: Collection[int], path: str) -> None:
    """Count for how long these messages had been accepted when they were stored and shown.

    A clock that was set back makes no negative lag.
    """
    now_ms = wall_clock_ms()
    catalogue.persist_lag_seconds.observe_all(
        [max(0, now_ms - time_of_id(each)) / 1000 for each in message_ids], path
    )


def count_letters(letters: Iterable[DeadLetter]) -> None:
    """Count dead letters by their reasons."""
    for letter in letters:
        known = letter.reason in DEAD_LETTER_REASONS
        catalogue.dead_letters.add(letter.reason if known else "other")
