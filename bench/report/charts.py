"""Draw small charts in SVG, coloured by the page around them.

Pure.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterator, Sequence
from html import escape

WIDTH, HEIGHT = 380, 210
LEFT, RIGHT, TOP, BASE = 48, 10, 34, 184
UNDER = BASE + 14
PLOT_WIDTH, PLOT_HEIGHT = WIDTH - LEFT - RIGHT, BASE - TOP
BARS_A_DECADE = 16
TICKS = 4


def latency_chart(spread: Sequence[tuple[float, int]], marks: dict[str, float]) -> str:
    """Draw how many requests took how long: bars over a logarithmic axis of milliseconds.

    `marks` are drawn as lines with their names, where they are.
    """
    bars: Counter[int] = Counter()
    for upper_ms, count in spread:
        bars[math.floor(_place(upper_ms))] += count
    first, last = min(bars) - 1, max(bars) + 2
    step = PLOT_WIDTH / (last - first)
    top = _round_up(max(bars.values()))
    drawn = list(_frame(top))
    for tick_ms in _ticks(first, last):
        x = LEFT + (_place(tick_ms) - first) * step
        drawn += [_line("grid", x, x), _text(x, UNDER, f"{tick_ms:g} ms", "middle")]
    for place, count in sorted(bars.items()):
        height = PLOT_HEIGHT * count / top
        drawn.append(
            f'<rect class="bar" x="{LEFT + (place - first) * step + 0.5:.1f}" '
            f'y="{BASE - height:.1f}" width="{max(step - 1, 0.8):.1f}" height="{height:.1f}">'
            f"<title>{count:,} requests</title></rect>"
        )
    for row, (name, value_ms) in enumerate(marks.items()):
        x = LEFT + (_place(value_ms) - first) * step
        anchor = "start" if x < LEFT + PLOT_WIDTH / 2 else "end"
        drawn.append(_line("mark", x, x))
        drawn.append(_text(x, TOP - 6 - 12 * row, f"{name} {value_ms:,.2f} ms", anchor))
    return _svg("requests by latency", drawn)


def curve(values: Sequence[float], *, name: str) -> str:
    """Draw one value a second, from the start of the lap."""
    top = _round_up(max([*values, TICKS]))
    points = " ".join(
        f"{LEFT + PLOT_WIDTH * place / max(len(values) - 1, 1):.1f},"
        f"{BASE - PLOT_HEIGHT * max(value, 0) / top:.1f}"
        for place, value in enumerate(values)
    )
    drawn = [
        *_frame(top),
        f'<polyline class="curve" points="{points}"/>',
        _text(LEFT, UNDER, "0 s", "start"),
        _text(WIDTH - RIGHT, UNDER, f"{len(values) - 1} s", "end"),
    ]
    return _svg(name, drawn)


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


def _frame(top: float) -> Iterator[str]:
    """Yield lines across, with numbers up to `top` beside them."""
    for tick in range(TICKS + 1):
        y = BASE - PLOT_HEIGHT * tick / TICKS
        yield _line("grid" if tick else "axis", LEFT, WIDTH - RIGHT, y, y)
        yield _text(LEFT - 6, y + 3, _short(top * tick / TICKS), "end")


def _line(kind: str, left: float, right: float, upper: float = TOP, lower: float = BASE) -> str:
    return (
        f'<line class="{kind}" x1="{left:.1f}" x2="{right:.1f}" y1="{upper:.1f}" y2="{lower:.1f}"/>'
    )


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


def _text(x: float, y: float, text: str, anchor: str) -> str:
    return f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}">{escape(text)}</text>'


def _svg(name: str, drawn: Sequence[str]) -> str:
    return (
        f'<svg viewBox="0 0 {WIDTH} {HEIGHT}" role="img" aria-label="{escape(name)}">'
        + "".join(drawn)
        + "</svg>"
    )
