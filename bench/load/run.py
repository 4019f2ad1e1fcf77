"""Start the load processes of one run, read their reports, and merge their outcomes."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from bench.load.child import LoadChild, LoadFailed
from bench.load.histogram import Histogram
from bench.load.process import Job
from bench.load.schedule import NANOSECONDS
from bench.load.traffic import Account, TargetSite
from bench.load.usage import Part

START_S = 0.1  # in which all processes connect
POLL_S = 0.1
END_LIMIT_S = 120.0  # a virtual machine may stand still for half a minute


@dataclass(frozen=True, slots=True, kw_only=True)
class LapPlan:
    """Hold the plan of one run of load.

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
    """Hold the merged outcome of all load processes."""

    answered: int = 0
    measured: int = 0
    measured_s: float = 0.0
    processes: int = 0
    peak_mb: float = 0.0
    sent: int = 0
    cpu_s: float = 0.0
    errors: Counter[str] = field(default_factory=Counter)
    durability: Counter[str] = field(default_factory=Counter)
    each_second: list[int] = field(default_factory=list)
    histograms: dict[str, Histogram] = field(default_factory=dict)

    @property
    def part(self) -> Part:
        """Return what the load processes themselves have used."""
        return Part(self.processes, self.cpu_s, self.peak_mb)

    @property
    def rate(self) -> float:
        return self.measured / self.measured_s if self.measured_s else 0.0

    def add_second(self, passed_s: float, answered: int) -> None:
        """Note how many were answered in all when `passed_s` had passed."""
        while len(self.each_second) < int(passed_s):
            self.each_second.append(answered)

    def add(self, told: dict[str, Any]) -> None:
        self.answered += told["answered"]
        self.measured += told["measured"]
        self.measured_s = max(self.measured_s, told["measuredS"])
        self.processes += 1
        self.peak_mb = max(self.peak_mb, told["peakMb"])
        self.sent += told["sent"]
        self.cpu_s += told["cpuS"]
        self.errors.update(told["errors"])
        self.durability.update(told["durability"])
        for place, answered in enumerate(told["eachSecond"]):
            if place == len(self.each_second):
                self.each_second.append(0)
            self.each_second[place] += answered
        for name, data in told["histograms"].items():
            self.histograms.setdefault(name, Histogram()).merge(Histogram.from_json(data))


def run(
    plan: LapPlan, *, receipts: Path | None, progress: Callable[[int, int], None]
) -> LoadResult:
    """Run the plan and return the merged outcome.

    `progress` is called several times a second with the counts of answered and of failed requests.
    With `receipts`, each process writes its acknowledged messages to `<receipts>.<n>`.

    Raises: LoadFailed when a process dies or does not end in time.
    """
    children = [LoadChild(_job(plan, place, receipts)) for place in range(plan.load_processes)]
    try:
        for child in children:
            child.await_ready()
        for place, child in enumerate(children):
            child.start(_start_ns(plan, place))
        _listen(children, plan, progress)
    finally:
        for child in children:
            child.end()
    result = LoadResult()
    for child in children:
        result.add(child.outcome())
    return result


def _start_ns(plan: LapPlan, place: int) -> int:
    """Return when the process in this place starts: the processes of an open loop take turns."""
    turn_s = place / plan.rate if plan.rate else 0.0
    return time.perf_counter_ns() + int((START_S + turn_s) * NANOSECONDS)


def _listen(
    children: Sequence[LoadChild], plan: LapPlan, progress: Callable[[int, int], None]
) -> None:
    """Report progress until all processes have ended.

    Raises: LoadFailed when the load does not end in time.
    """
    limit_s = plan.warm_s + plan.seconds + plan.timeout_s + END_LIMIT_S
    deadline = time.monotonic() + limit_s
    while running := [child for child in children if child.is_running]:
        if time.monotonic() > deadline:
            raise LoadFailed(f"the load did not end within {limit_s:.0f} s")
        running[0].wait(POLL_S)
        told = [child.told for child in children]
        progress(sum(answered for answered, _ in told), sum(errors for _, errors in told))


def _job(plan: LapPlan, place: int, receipts: Path | None) -> Job:
    """Return the part of the plan that the process in this place has."""
    count = plan.load_processes
    return Job(
        site=plan.site,
        accounts=list(plan.accounts[place::count]),
        kind=plan.kind,
        connections=len(range(place, plan.connections, count)),
        warm_s=plan.warm_s,
        seconds=plan.seconds,
        rate=plan.rate / count if plan.rate else None,
        limit=len(range(place, plan.limit, count)) if plan.limit is not None else None,
        timeout_s=plan.timeout_s,
        receipts=f"{receipts}.{place}" if receipts else None,
    )
