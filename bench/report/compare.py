"""Compare two runs.

Rates of two machines, or of two hours, differ; ratios to the no-op differ less.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from bench.report.document import FORMAT, Document, service_us


class NotComparable(Exception):
    """Report a file that is no run of this benchmark, or a run of another format."""


@dataclass(frozen=True, slots=True)
class Change:
    """Hold one figure of one measurement, before and now."""

    title: str
    figure: str
    before: float
    now: float

    @property
    def percent(self) -> float:
        return (self.now / self.before - 1) * 100 if self.before else 0.0


def load(path: Path) -> Document:
    """Read a run from a file.

    Raises: NotComparable for a file that cannot be read, or that `--json` did not write.
    """
    try:
        document = json.loads(path.read_text())
    except (OSError, ValueError) as error:
        raise NotComparable(f"{path}: {error}") from error
    if not isinstance(document, dict) or document.get("format") != FORMAT:
        raise NotComparable(f"{path} is not a run of this benchmark, or of another version of it")
    return document


def load_alike(path: Path, now: Document) -> Document | None:
    """Read a run from a file; None unless it is a run on the same kinds of services."""
    with suppress(NotComparable):
        before = load(path)
        if all(before["service"][name] == now["service"][name] for name in ("database", "log")):
            return before
    return None


def dump(document: Document) -> str:
    return json.dumps(document, indent=1) + "\n"


def changes(before: Document, now: Document) -> Iterator[Change]:
    """Yield the figures of every measurement that both runs have."""
    earlier = {each["name"]: each for each in before["measurements"]}
    for each in now["measurements"]:
        if (other := earlier.get(each["name"])) is None:
            continue
        for name, figure in _figures(other).items():
            if (value := _figures(each).get(name)) is not None:
                yield Change(each["title"], name, figure, value)


def _figures(measurement: Document) -> dict[str, float]:
    """Return the figures of a measurement by name.

    CPU is the service's.
    """
    latency = measurement["latency"]
    figures = {
        "rate/s": measurement["rate"],
        "p50 ms": latency["p50"],
        "p99 ms": latency["p99"],
        "ratio to no-op": measurement["ratioToNoop"],
        "stored after p99 ms": measurement["storedAfter"]["p99"],
        "CPU us a request": service_us(measurement),
    }
    return {name: value for name, value in figures.items() if value}
