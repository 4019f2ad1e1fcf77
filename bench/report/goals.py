"""Judge a run by the goals of the service on two cores, with everything on them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

from bench.laps.measurement import Run

STEADY_GROWTH = 0.01  # of the offered rate: a backlog that grows by less stays where it is
FLAT_MB = 1.0  # a minute
RATIOS = {
    "closed-16": 0.13,
    "closed-32": 0.18,
    "closed-64": 0.22,
    "closed-256": 0.30,
    "backlog": 0.45,
}


@dataclass(frozen=True, slots=True)
class Judged:
    """Hold one goal and its result."""

    what: str
    goal: str
    reached: str
    met: bool


Rule = Callable[[Run], Iterable[Judged]]


def judge(run: Run) -> list[Judged]:
    """Return the judged goals of what was measured in this run.

    Goals of other measurements are left out.
    """
    return [judged for rule in RULES for judged in rule(run)]


def _capacity(run: Run) -> Iterator[Judged]:
    """Judge the ratio of closed loops to a no-op, with the consumer beside them or stopped."""
    for name, goal in RATIOS.items():
        if found := run.named(name):
            yield at_least(f"sends to a bare no-op ({found.title})", goal, found.ratio or 0.0)
    if found := run.named("closed-32"):
        yield below(f"p50 ({found.title})", 6, found.percentile_ms(50), " ms")


def _fixed_rate(run: Run) -> Iterator[Judged]:
    if not (found := run.named("open-1000")):
        return
    yield below("p50 of sends at 1,000/s", 3, found.percentile_ms(50), " ms")
    yield below("p99 of sends at 1,000/s", 10, found.percentile_ms(99), " ms")
    told = found.result.durability
    yield at_least("answers that say `log`", 99, 100 * told["log"] / max(told.total(), 1), " %")
    yield below("errors at that rate", 1, found.result.errors.total())
    if stored := found.seen.stored_after:
        yield below("p50 until stored at 1,000/s", 60, stored.percentile_ms(50), " ms")
        yield below("p99 until stored at 1,000/s", 250, stored.percentile_ms(99), " ms")


def _modes(run: Run) -> Iterator[Judged]:
    sync, other = run.named("sync"), run.named("async")
    if sync and other and sync.rate:
        yield at_least("throughput of async to sync mode", 10, other.rate / sync.rate)
    sync, other = run.named("sync-equal"), run.named("async-equal")
    if sync and other and sync.percentile_ms(99):
        share = other.percentile_ms(99) / sync.percentile_ms(99)
        yield below("p99 of async to sync mode at equal load", 0.1, share)


def _groups(run: Run) -> Iterator[Judged]:
    """Judge sends to a group by private ones, over the laps before and after each other."""
    private, group = (_rates(run, kind) for kind in ("private", "group"))
    if len(private) == len(group) == 2 and all(private):
        share = sum(group) / sum(private)
        yield at_least("rate of sends to a group to private ones", 0.95, share)


def _rates(run: Run, kind: str) -> list[float]:
    laps = (run.named(f"{kind}-{number}") for number in (1, 2))
    return [each.rate for each in laps if each]


def _few(run: Run) -> Iterator[Judged]:
    if found := run.named("lone"):
        yield below("p50 of a lone send", 2, found.percentile_ms(50), " ms")
        yield below("p99 of a lone send", 6, found.percentile_ms(99), " ms")
    if found := run.named("sends"):
        count = found.result.answered
        yield below("average of sends one after the other", 10, found.latency.mean_ms(), " ms")
        limit_s = max(count, 1) * 2 / 100
        yield below(f"all {count} of them", limit_s, found.result.measured_s, " s")


def _drain(run: Run) -> Iterator[Judged]:
    if found := run.named("drain"):
        yield at_least("rows stored a second by the consumer", 25_000, found.rate, "/s")


def _sustained(run: Run) -> Iterator[Judged]:
    if found := run.named("sustain"):
        yield at_least("accept and drain together", 5_000, found.rate, "/s")
        steady = STEADY_GROWTH * (found.offered or found.rate)
        yield below(
            "growth of the backlog meanwhile", steady, found.figures["backlog growth/s"], "/s"
        )


def _pages(run: Run) -> Iterator[Judged]:
    if found := run.named("pages"):
        yield at_least("first history pages a second", 5_000, found.rate, "/s")
    if found := run.named("pages-open"):
        yield below(f"p99 of pages at {found.offered:,.0f}/s", 5, found.percentile_ms(99), " ms")


def _lists(run: Run) -> Iterator[Judged]:
    for name, what, goal_ms in (
        ("list", "p99 of the list of 200 conversations", 20),
        ("sync-idle", "p99 of a sync with nothing new", 20),
        ("sync-news", "p99 of a sync with news in 20 of 200", 60),
        ("marks", "p99 of marks of what was read", 200),
    ):
        if found := run.named(name):
            yield below(what, goal_ms, found.percentile_ms(99), " ms")
            yield below(f"errors in the lap `{name}`", 1, found.result.errors.total())
    if found := run.named("marks"):
        yield at_least("marks a second", 0.99 * (found.offered or 0.0), found.rate, "/s")


def _memory(run: Run) -> Iterator[Judged]:
    for part, limit_mb in (("web", 200), ("consumer", 250)):
        used = [each.seen.parts[part] for each in run.measurements if part in each.seen.parts]
        if peak_mb := max((each.peak_mb for each in used), default=0.0):
            yield below(f"memory of a {part} process", limit_mb, peak_mb, " MB")
        long = run.named("long")
        if long and (name := f"{part} growth MB/min") in long.figures:
            yield below(f"growth of a {part} process", FLAT_MB, long.figures[name], " MB/min")


RULES: tuple[Rule, ...] = (
    _capacity,
    _fixed_rate,
    _modes,
    _groups,
    _few,
    _drain,
    _sustained,
    _pages,
    _lists,
    _memory,
)


def at_least(what: str, goal: float, reached: float, unit: str = "") -> Judged:
    return Judged(what, f"≥ {_told(goal)}{unit}", f"{_told(reached)}{unit}", reached >= goal)


def below(what: str, goal: float, reached: float, unit: str = "") -> Judged:
    return Judged(what, f"< {_told(goal)}{unit}", f"{_told(reached)}{unit}", reached < goal)


def _told(value: float) -> str:
    if abs(value) >= 100 or value == int(value):
        return f"{value:,.0f}"
    return f"{value:.1f}" if abs(value) >= 10 else f"{value:.2f}"
