"""Plan one run of load, and hold its result."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import zip_longest

from bench.load.histogram import Histogram
from bench.load.traffic import OPERATIONS, Account, TargetSite
from bench.load.usage import Part


@dataclass(frozen=True, slots=True, kw_only=True)
class LapPlan:
    """Hold the plan of one run of load, or the part of it that one load process has.

    `rate` makes it an open loop. `limit` ends it after so many requests.
    """

    site: TargetSite
    accounts: Sequence[Account]
    kind: str = "send"
    connections: int
    seconds: float
    warm_s: float = 0.0
    rate: float | None = None
    limit: int | None = None
    timeout_s: float = 10.0
    load_processes: int = 1

    @property
    def is_paced(self) -> bool:
        """Tell whether the measured rate says little about how fast the service is."""
        return self.rate is not None or self.limit is not None


@dataclass(slots=True)
class LoadResult:
    """Hold what one load process measured, or all of them together.

    The latencies and `measured` leave the warm-up out; the other figures include it. `part` is
    what the load processes themselves have used.
    """

    answered: int = 0
    measured: int = 0
    measured_s: float = 0.0
    sent: int = 0
    part: Part = field(default_factory=Part)
    errors: Counter[str] = field(default_factory=Counter)
    durability: Counter[str] = field(default_factory=Counter)
    each_second: list[int] = field(default_factory=list)
    histograms: dict[str, Histogram] = field(
        default_factory=lambda: {name: Histogram() for name in OPERATIONS}
    )

    @property
    def rate(self) -> float:
        return self.measured / self.measured_s if self.measured_s else 0.0

    def add_second(self, passed_s: float, answered: int) -> None:
        """Note how many were answered in all when `passed_s` had passed."""
        while len(self.each_second) < int(passed_s):
            self.each_second.append(answered)

    def add(self, other: LoadResult) -> None:
        self.answered += other.answered
        self.measured += other.measured
        self.measured_s = max(self.measured_s, other.measured_s)
        self.sent += other.sent
        self.part.processes += other.part.processes
        self.part.cpu_s += other.part.cpu_s
        self.part.peak_mb = max(self.part.peak_mb, other.part.peak_mb)
        self.errors.update(other.errors)
        self.durability.update(other.durability)
        pairs = zip_longest(self.each_second, other.each_second, fillvalue=0)
        self.each_second = [mine + theirs for mine, theirs in pairs]
        for name, histogram in other.histograms.items():
            self.histograms[name].merge(histogram)
