"""Compute small charts, in percent of their width and height from the upper left corner.

Pure.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple

BARS_A_DECADE = 16
STEPS = 4

Label = tuple[float, str]


class Bar(NamedTuple):
    left: float
    height: float
    told: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Chart:
    """Hold the parts of a chart; each label stands at the end of a line."""

    name: str
    levels: Sequence[Label]
    ticks: Sequence[Label]
    marks: Sequence[Label] = ()
    bars: Sequence[Bar] = ()
    bar_width: float = 0.0
    points: str = ""


def latency_chart(spread: Sequence[tuple[float, int]], latencies: dict[str, float]) -> Chart:
    """Draw how many requests took how long: bars over a logarithmic axis of milliseconds.

    `latencies` are marked with their names, where they are.
    """
    bars: Counter[int] = Counter()
    for upper_ms, count in spread:
        bars[math.floor(_place(upper_ms))] += count
    first, last = min(bars) - 1, max(bars) + 2
    step = 100 / (last - first)
    top = _round_up(max(bars.values()))

    def at(value_ms: float, text: str) -> Label:
        return (_place(value_ms) - first) * step, text

    return Chart(
        name="requests by latency",
        levels=_levels(top),
        ticks=[at(tick_ms, f"{tick_ms:g} ms") for tick_ms in _ticks(first, last)],
        marks=[at(value, f"{name} {value:,.2f} ms") for name, value in latencies.items()],
        bars=[
            Bar((place - first + 0.05) * step, 100 * count / top, f"{count:,} requests")
            for place, count in sorted(bars.items())
        ],
        bar_width=0.9 * step,
    )


def curve(values: Sequence[float], *, name: str) -> Chart:
    """Draw one value a second, from the start of the lap."""
    top, last = _round_up(max([*values, STEPS])), len(values) - 1
    points = (
        f"{100 * place / last:.2f},{100 - 100 * max(value, 0) / top:.2f}"
        for place, value in enumerate(values)
    )
    ticks = [(0.0, "0 s"), (100.0, f"{last} s")]
    return Chart(name=name, levels=_levels(top), ticks=ticks, points=" ".join(points))


def _place(value_ms: float) -> float:
    """Return where a latency lies on the logarithmic axis, in widths of a bar."""
    return math.log10(max(value_ms, 0.001)) * BARS_A_DECADE


def _ticks(first: int, last: int) -> Iterator[float]:
    """Yield round latencies between two positions: 1, 2, 5, 10 …, or only the powers of ten.

    The powers of ten alone are used for an axis of two decades and more.
    """
    steps = (1, 2, 5) if last - first < 2 * BARS_A_DECADE else (1,)
    for decade in range(first // BARS_A_DECADE, last // BARS_A_DECADE + 1):
        for step in steps:
            if first <= _place(step * 10.0**decade) <= last:
                yield step * 10.0**decade


def _levels(top: float) -> list[Label]:
    """Return five levels from 0 up to `top`."""
    return [(100 - 100 * n / STEPS, _short(top * n / STEPS)) for n in range(STEPS + 1)]


def _round_up(value: float) -> float:
    """Return the next number that four equal parts divide into short ones."""
    scale = 10.0 ** math.floor(math.log10(value))
    return next(
        scale * step for step in (1, 1.2, 1.6, 2, 2.4, 3.2, 4, 6, 8, 10) if value <= scale * step
    )


def _short(value: float) -> str:
    if value >= 1_000_000:
        return f"{value / 1_000_000:g} M"
    if value >= 10_000:
        return f"{value / 1_000:g} k"
    return f"{value:,.0f}" if value >= 10 or value == int(value) else f"{value:.1f}"
