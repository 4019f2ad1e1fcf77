"""Take from snapshots the counts that never fall, and add up such counts.

A count is a list of whole numbers in millionths: one of a counter, a cell of a histogram. Whole
numbers add up to the same sum in any order. Floating-point sums differ in their last digit, and
Prometheus takes the smallest fall of a counter for a restart from zero.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping

from messaging.metrics.catalogue import FAMILIES, ROLES
from messaging.metrics.families import Counter, Family, Histogram, Labels, Reading
from messaging.metrics.snapshot import Snapshot

MILLION = 1_000_000
Series = tuple[str, Labels]  # the name of a family, and the label values, with the role behind them
Counts = dict[Series, list[int]]


def served_keys(family: Family) -> Iterator[Labels]:
    """Yield the label values of every series that the exporter serves of a family."""
    keys = family.series()
    for key in keys:
        if family.by_role:
            yield from ((*key, role) for role in ROLES)
        else:
            yield key


def _length(family: Family) -> int:
    return len(family.edges) + 2 if isinstance(family, Histogram) else 1


def is_total(family: Family) -> bool:
    """Tell whether the numbers of a family never fall while a process lives."""
    return isinstance(family, Counter | Histogram) or (
        isinstance(family, Reading) and family.is_total
    )


_BY_NAME = {family.name: family for family in FAMILIES}
_LENGTHS: dict[Series, int] = {
    (family.name, key): _length(family)
    for family in FAMILIES
    if is_total(family)
    for key in served_keys(family)
}


def zero() -> Counts:
    """Return a zero for every series, so that a series exists before its first event."""
    return {series: [0] * length for series, length in _LENGTHS.items()}


def counts_of(snapshot: Snapshot) -> Counts:
    """Return the counts of a process that are not zero.

    Families, labels, roles and lengths that this release does not know are left out.
    """
    found: Counts = {}
    for name, rows in snapshot.numbers.items():
        for labels, number in rows:
            _take(found, name, labels, [number], snapshot.role)
    for name, cells in snapshot.cells.items():
        for labels, cell in cells:
            _take(found, name, labels, cell, snapshot.role)
    return found


def _take(found: Counts, name: str, labels: Labels, values: list[float], role: str) -> None:
    series = series_of(name, labels, role)
    if _LENGTHS.get(series) == len(values) and any(values):
        found[series] = [round(value * MILLION) for value in values]


def series_of(name: str, labels: Labels, role: str) -> Series:
    """Return the series that serves these labels of a process of this role."""
    family = _BY_NAME.get(name)
    return name, (*labels, role) if family is not None and family.by_role else labels


def known(rows: Iterable[tuple[str, Labels, list[int]]]) -> Counts:
    """Return the counts among these rows that this release knows."""
    return {
        (name, labels): values
        for name, labels, values in rows
        if _LENGTHS.get((name, labels)) == len(values)
    }


def add(to: Counts, more: Mapping[Series, list[int]]) -> None:
    """Add counts to others in place."""
    for series, values in more.items():
        before = to.get(series)
        to[series] = (
            list(values) if before is None else [a + b for a, b in zip(before, values, strict=True)]
        )
