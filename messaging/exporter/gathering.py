"""Add up the snapshots of all processes: of those that live, and of those that have ended.

A process lives while its file changes. The counts of an ended process are kept, so that sums never
fall; its gauges vanish, and its file is removed.
"""

from __future__ import annotations

import contextlib
import logging
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from messaging.exporter.accumulator import Accumulator
from messaging.exporter.counts import (
    Counts,
    Series,
    add,
    counts_of,
    is_total,
    series_of,
    served_keys,
    zero,
)
from messaging.metrics import snapshot
from messaging.metrics.catalogue import FAMILIES, ROLES
from messaging.metrics.families import Reading, Sum
from messaging.metrics.snapshot import DEAD_AFTER_S, Snapshot

logger = logging.getLogger(__name__)

ABANDONED_AFTER_S = 60.0  # of a half-written file, whose process has died
_GAUGES: dict[Series, Reading] = {
    (family.name, key): family
    for family in FAMILIES
    if isinstance(family, Reading) and not is_total(family)
    for key in served_keys(family)
}
_JOIN: dict[Sum, Callable[[float, float], float]] = {
    Sum.ADD: lambda a, b: a + b,
    Sum.LEAST: min,
    Sum.MOST: max,
}


@dataclass(frozen=True, slots=True)
class Gathered:
    """Hold the sums over all processes at one moment.

    `counts` never fall from one moment to the next. `gauges` and `processes` are of living
    processes; `processes` has every role. `releases` are those of the living processes.
    """

    counts: Counts
    gauges: dict[Series, float]
    processes: dict[str, int]
    releases: frozenset[str]


@dataclass(slots=True)
class _Seen:
    snapshot: Snapshot
    changed_s: float  # when this exporter saw the file change, monotonic


class Gatherer:
    """Gather the snapshots of a folder, whose one exporter this is.

    Raises: FolderTaken and OSError, from `open`.
    """

    def __init__(
        self,
        folder: Path,
        *,
        monotonic_s: Callable[[], float] = time.monotonic,
        wall_s: Callable[[], float] = time.time,
    ) -> None:
        self._folder = folder
        self._accumulator = Accumulator(folder)
        self._monotonic_s = monotonic_s
        self._wall_s = wall_s
        self._seen: dict[str, _Seen] = {}
        self._is_first = True
        self._is_failing = False

    def open(self) -> None:
        self._accumulator.open()

    def close(self) -> None:
        """Let another exporter have the folder. Safe to repeat."""
        self._accumulator.close()

    def look(self) -> Gathered:
        """Read the snapshots once more, and return the sums of this moment; the call blocks."""
        now_s = self._monotonic_s()
        self._read(now_s)
        dead = {
            name: each.snapshot for name, each in self._seen.items() if self._is_dead(each, now_s)
        }
        living = [each.snapshot for name, each in self._seen.items() if name not in dead]
        if dead and self._absorb(dead):
            for name in dead:
                del self._seen[name]
                self._remove(self._folder / name)
        self._remove_abandoned()
        self._is_first = False
        return self._sums(living)

    def _read(self, now_s: float) -> None:
        """Note the snapshots that have changed; a file that is gone leaves its last snapshot."""
        found: set[str] = set()
        for path, taken in snapshot.read(self._folder):
            if self._accumulator.has(path.name, taken):  # left by a crash, or by a failed removal
                self._remove(path)
                continue
            self._accumulator.revive(path.name)
            found.add(path.name)
            known = self._seen.get(path.name)
            if known is None:
                self._seen[path.name] = _Seen(taken, now_s - self._age_s(path))
            elif known.snapshot.written_ms != taken.written_ms:
                self._seen[path.name] = _Seen(taken, now_s)
        for name in self._seen.keys() - found:
            self._seen[name].changed_s = float("-inf")

    def _age_s(self, path: Path) -> float:
        """Return how long ago a file that is seen for the first time has changed.

        The clock of the file system counts at the start of the exporter alone. A file that appears
        later has changed just now.
        """
        if not self._is_first:
            return 0.0
        try:
            return max(0.0, self._wall_s() - path.stat().st_mtime)
        except OSError:
            return 0.0

    def _is_dead(self, seen: _Seen, now_s: float) -> bool:
        return seen.snapshot.is_over or now_s - seen.changed_s > DEAD_AFTER_S

    def _absorb(self, dead: Mapping[str, Snapshot]) -> bool:
        """Tell whether the counts of these are kept; else their files go on being counted."""
        try:
            self._accumulator.absorb(dead)
        except OSError as error:
            if not self._is_failing:
                logger.error(
                    "the counts of ended processes cannot be written; trying again",
                    extra={"action": "exporter.counts_not_written", "reason": str(error)},
                )
            self._is_failing = True
            return False
        self._is_failing = False
        return True

    def _remove(self, path: Path) -> None:
        with contextlib.suppress(OSError):  # the next look tries again
            path.unlink()

    def _remove_abandoned(self) -> None:
        for path in self._folder.glob("*.new"):
            with contextlib.suppress(OSError):
                if self._wall_s() - path.stat().st_mtime > ABANDONED_AFTER_S:
                    path.unlink()

    def _sums(self, living: Sequence[Snapshot]) -> Gathered:
        counts = zero()
        add(counts, self._accumulator.total())
        for seen in self._seen.values():
            add(counts, counts_of(seen.snapshot))
        gauges: dict[Series, float] = {}
        for each in living:
            _join(gauges, each)
        roles = Counter(each.role for each in living)
        return Gathered(
            counts,
            gauges,
            {role: roles[role] for role in ROLES},
            frozenset(each.release for each in living),
        )


def _join(gauges: dict[Series, float], taken: Snapshot) -> None:
    for name, rows in taken.numbers.items():
        for labels, number in rows:
            series = series_of(name, labels, taken.role)
            if (family := _GAUGES.get(series)) is not None:
                before = gauges.get(series)
                gauges[series] = number if before is None else _JOIN[family.joined](before, number)
