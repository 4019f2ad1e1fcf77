"""Hold the counts of a process: plain integers, by labels.

A family has all its label values from the start, so that a series exists before its first event:
Prometheus sees no increase in a series that begins above zero.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from itertools import product
from time import perf_counter

Labels = tuple[str, ...]


class Switch:
    """Hold whether this process counts at all (`IM_METRICS`)."""

    is_on = True


@dataclass(slots=True)
class Family:
    """Hold what all families have: a name, a text for people, and label names with their values.

    `by_role`: the exporter keeps the roles of the processes apart, by a label `role` of its own.
    """

    name: str
    text: str
    labels: Mapping[str, Sequence[str]] = field(default_factory=dict)
    by_role: bool = False

    def series(self) -> Iterable[Labels]:
        """Return the label values of every series of one process."""
        return product(*(tuple(map(str, values)) for values in self.labels.values()))


@dataclass(slots=True)
class Counter(Family):
    """Count events.

    Raises: KeyError for a label value that the family does not have.
    """

    values: dict[Labels, float] = field(init=False)

    def __post_init__(self) -> None:
        self.values = dict.fromkeys(self.series(), 0)

    def add(self, *labels: str, n: float = 1) -> None:
        if Switch.is_on:
            self.values[labels] += n


@dataclass(slots=True, kw_only=True)
class Histogram(Family):
    """Count values by size; `edges` are the upper ends of the buckets, which belong to them.

    A cell holds the number of values in each bucket, the number above the last edge, and the sum of
    all values. Raises: KeyError for a label value that the family does not have.
    """

    edges: Sequence[float]
    cells: dict[Labels, list[float]] = field(init=False)

    def __post_init__(self) -> None:
        self.cells = {key: [0] * (len(self.edges) + 2) for key in self.series()}

    def observe(self, value: float, *labels: str) -> None:
        if Switch.is_on:
            cell = self.cells[labels]
            cell[bisect_left(self.edges, value)] += 1
            cell[-1] += value

    def observe_all(self, values: Sequence[float], *labels: str) -> None:
        if Switch.is_on:
            cell = self.cells[labels]
            for value in values:
                cell[bisect_left(self.edges, value)] += 1
            cell[-1] += sum(values)

    def timed(self, *labels: str) -> Timing:
        """Return a context whose seconds are observed, also when the context raises."""
        return Timing(self, labels)


class Timing:
    """Observe the seconds that a context takes.

    A class costs a third of a generator by `contextlib`, and a send is timed several times.
    """

    __slots__ = ("_began_s", "_histogram", "_labels")

    def __init__(self, histogram: Histogram, labels: Labels) -> None:
        self._histogram = histogram
        self._labels = labels

    def __enter__(self) -> None:
        self._began_s = perf_counter()

    def __exit__(self, *_: object) -> None:
        self._histogram.observe(perf_counter() - self._began_s, *self._labels)


class Sum(StrEnum):
    """Name the ways to join the readings of several processes."""

    ADD = "add"
    LEAST = "least"
    MOST = "most"


@dataclass(slots=True, kw_only=True)
class Reading(Family):
    """Read a number at each snapshot; `is_total` says that the number never falls.

    A process that has nothing to read leaves `read` as it is, and has no such series.
    """

    is_total: bool = False
    joined: Sum = Sum.ADD
    read: Callable[[], Mapping[Labels, float]] = dict
