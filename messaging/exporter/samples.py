"""Keep what an operations page plots: a sample each two seconds, for half an hour, in memory."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence

import msgspec

from messaging.exporter import asked
from messaging.exporter.asked import Answers, Asked
from messaging.exporter.counts import MILLION, Counts, served_keys
from messaging.exporter.page import View
from messaging.metrics import catalogue
from messaging.metrics.families import Counter, Histogram

EVERY_S = 2.0
KEPT_S = 30 * 60
MOST_BYTES = 4_000_000  # of all samples; one has some 600

_encode = msgspec.json.Encoder().encode


class Sample(msgspec.Struct, frozen=True, rename="camel"):
    """Hold the numbers of one moment; None stands for a number that nobody knows.

    Rates are a second, ages and durations in seconds. `lag` is by partition. `breakers` count the
    processes by role, backend and state.
    """

    t: int  # Unix time in milliseconds
    sends: dict[str, float]  # by durability
    send_p50: float | None
    send_p99: float | None
    persist_p50: float | None
    persist_p99: float | None
    stored: float
    pending: float | None
    pending_oldest: float | None
    lag: dict[str, float]
    breakers: dict[str, dict[str, dict[str, float]]]
    letters_open: float | None
    unaccounted: float | None


class Samples:
    """Keep the newest samples within bounds of time and bytes.

    One thread adds, and any thread may read.
    """

    def __init__(self) -> None:
        self._kept: deque[tuple[int, bytes]] = deque()
        self._bytes = 0
        self._before: tuple[float, Counts] | None = None

    def add(self, view: View, *, now_ms: int, monotonic_s: float) -> None:
        """Add a sample of the counts since the last call; the first call adds none."""
        before, self._before = self._before, (monotonic_s, view.gathered.counts)
        if before is None or monotonic_s <= before[0]:
            return
        sample = _sample(view, now_ms, monotonic_s - before[0], before[1])
        encoded = _encode(sample)
        self._kept.append((now_ms, encoded))
        self._bytes += len(encoded)
        while self._bytes > MOST_BYTES or self._kept[0][0] < now_ms - KEPT_S * 1000:
            self._bytes -= len(self._kept.popleft()[1])

    def after(self, time_ms: int) -> bytes:
        """Return the samples that are newer than this time, oldest first, as JSON."""
        newer = [encoded for at_ms, encoded in tuple(self._kept) if at_ms > time_ms]
        return b'{"everyS":%d,"samples":[%b]}' % (EVERY_S, b",".join(newer))


def _sample(view: View, now_ms: int, elapsed_s: float, before: Counts) -> Sample:
    counts = view.gathered.counts
    send_p50, send_p99 = _quantiles(catalogue.request_seconds, counts, before, call="send")
    persist_p50, persist_p99 = _quantiles(catalogue.persist_lag_seconds, counts, before)
    answers = view.asked()
    durabilities = catalogue.sends.labels["durability"]
    return Sample(
        t=now_ms,
        sends={
            each: _increase(catalogue.sends, counts, before, durability=each) / elapsed_s
            for each in durabilities
        },
        send_p50=send_p50,
        send_p99=send_p99,
        persist_p50=persist_p50,
        persist_p99=persist_p99,
        stored=_increase(catalogue.rows, counts, before, result="stored") / elapsed_s,
        pending=_one(answers, asked.pending_messages),
        pending_oldest=_one(answers, asked.pending_oldest),
        lag={labels[0]: age for labels, age in answers.get(asked.log_lag_seconds, {}).items()},
        breakers=_breakers(view),
        letters_open=_one(answers, asked.dead_letters, "open"),
        unaccounted=_one(answers, asked.unaccounted),
    )


def _one(answers: Answers, family: Asked, *labels: str) -> float | None:
    return answers.get(family, {}).get(labels)


def _cells(
    family: Counter | Histogram, counts: Counts, before: Counts, **wanted: str
) -> list[list[int]]:
    """Return the increase of each series of a family that has the wanted label values."""
    places = {list(family.labels).index(name): value for name, value in wanted.items()}
    return [
        [now - then for now, then in zip(counts[series], before[series], strict=True)]
        for key in served_keys(family)
        if all(key[place] == value for place, value in places.items())
        for series in [(family.name, key)]
    ]


def _increase(family: Counter, counts: Counts, before: Counts, **wanted: str) -> float:
    return sum(cell[0] for cell in _cells(family, counts, before, **wanted)) / MILLION


def _quantiles(
    family: Histogram, counts: Counts, before: Counts, **wanted: str
) -> tuple[float | None, float | None]:
    """Return the median and the 99th percentile of what came since; None where nothing came."""
    cells = _cells(family, counts, before, **wanted)
    buckets = [sum(column) for column in zip(*cells, strict=True)][:-1]
    return _quantile(0.5, family.edges, buckets), _quantile(0.99, family.edges, buckets)


def _quantile(share: float, edges: Sequence[float], buckets: Sequence[int]) -> float | None:
    """Return a quantile, taking the values of a bucket for evenly spread, as Prometheus does.

    Above the last edge the last edge is returned.
    """
    rank, seen = share * sum(buckets), 0
    if rank <= 0:
        return None
    for place, (edge, number) in enumerate(zip(edges, buckets, strict=False)):
        if number and seen + number >= rank:
            start = edges[place - 1] if place else 0.0
            return start + (edge - start) * (rank - seen) / number
        seen += number
    return edges[-1]


def _breakers(view: View) -> dict[str, dict[str, dict[str, float]]]:
    found: dict[str, dict[str, dict[str, float]]] = {}
    name = catalogue.breaker_processes.name
    for (family, labels), number in view.gathered.gauges.items():
        if family == name:
            backend, state, role = labels
            found.setdefault(role, {}).setdefault(backend, {})[state] = number
    return found
