"""Hold the measurement of one lap, and the run that the laps make up."""

from __future__ import annotations

from dataclasses import dataclass, field

from bench.check.conversation import CheckFindings
from bench.laps.watch import Seen
from bench.load.histogram import Histogram
from bench.load.plan import LoadResult
from bench.load.usage import Part

TITLE_CHARACTERS = 44


@dataclass(slots=True, kw_only=True)
class Measurement:
    """Hold the results of one lap of load, and its cost.

    `name` is the same in every run, so that runs can be compared. `offered` is the rate of an open
    loop, None for a closed one. `figures` are all other measured values, by name with the unit. CPU
    time counts from the lap's first request until the messages of the lap were stored.
    """

    name: str
    title: str
    connections: int
    offered: float | None
    result: LoadResult
    seen: Seen
    drained_s: float | None = None
    noop_rate: float | None = None  # under as many connections
    figures: dict[str, float] = field(default_factory=dict)

    @property
    def rate(self) -> float:
        return self.result.rate

    @property
    def ratio(self) -> float | None:
        """Return the ratio of the rate to the bare no-op's rate."""
        return self.rate / self.noop_rate if self.noop_rate else None

    @property
    def latency(self) -> Histogram:
        """Return the latencies of all kinds of requests together."""
        total = Histogram()
        for histogram in self.result.histograms.values():
            total.merge(histogram)
        return total

    def percentile_ms(self, percent: float) -> float:
        return self.latency.percentile_ms(percent)

    @property
    def operations(self) -> dict[str, Histogram]:
        """Return the latencies of each kind of request that there was."""
        return {name: each for name, each in self.result.histograms.items() if len(each)}

    def line(self) -> str:
        """Return the result in a line."""
        latency = self.latency
        told = "  ".join(f"p{p:g} {latency.percentile_ms(p):.2f}" for p in (50.0, 99.0, 99.9))
        errors = f"  {self.result.errors.total():,} errors" if self.result.errors else ""
        milliseconds = f"  {told} ms" if len(latency) else ""
        return f"{self.title:<{TITLE_CHARACTERS}} {self.rate:>9,.0f}/s{milliseconds}{errors}"

    @property
    def parts(self) -> dict[str, Part]:
        """Return what each part of the service used, and the load itself."""
        return {**self.seen.parts, "load": self.result.part}

    def cpu_ms_each(self, part: str) -> float:
        """Return CPU milliseconds a request, which is seconds for a thousand requests."""
        answered = self.result.answered
        return self.parts[part].cpu_s * 1000 / answered if answered else 0.0


@dataclass(slots=True, kw_only=True)
class Run:
    """Hold a whole run of the benchmark, as it is reported."""

    name: str
    started_ms: int
    service: dict[str, object]
    machine: dict[str, object]
    measurements: list[Measurement] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    findings: CheckFindings = field(default_factory=CheckFindings)

    def named(self, name: str) -> Measurement | None:
        return next((each for each in self.measurements if each.name == name), None)

    @property
    def passed(self) -> bool:
        """Tell whether there are acknowledged messages, and each is stored as it must be."""
        return self.findings.acknowledged > 0 and not self.findings.failures
