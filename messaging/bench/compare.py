"""Two runs side by side. Rates of two machines, or two hours, differ; ratios to the no-op less."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from messaging.bench.document import FORMAT, Document


class NotComparable(Exception):
    """The file is no run of this benchmark, or one of another format."""


@dataclass(frozen=True, slots=True)
class Change:
    """One figure of one measurement, before and now."""

    title: str
    figure: str
    before: float
    now: float

    @property
    def percent(self) -> float:
        return (self.now / self.before - 1) * 100 if self.before else 0.0


def load(path: Path) -> Document:
    """Raises NotComparable for what `--json` did not write, or cannot be read."""
    try:
        document = json.loads(path.read_text())
    except (OSError, ValueError) as error:
        raise NotComparable(f"{path}: {error}") from error
    if not isinstance(document, dict) or document.get("format") != FORMAT:
        raise NotComparable(f"{path} is not a run of this benchmark, or of another version of it")
    return document


def dump(document: Document) -> str:
    return json.dumps(document, indent=1) + "\n"


def changes(before: Document, now: Document) -> Iterator[Change]:
    """The figures of every measurement that both runs have."""
    earlier = {each["name"]: each for each in before["measurements"]}
    for each in now["measurements"]:
        if (other := earlier.get(each["name"])) is None:
            continue
        for name, figure in _figures(other).items():
            if (value := _figures(each).get(name)) is not None:
                yield Change(each["title"], name, figure, value)


def _figures(measurement: Document) -> dict[str, float]:
    """CPU is that of the service, in seconds for 1,000 requests."""
    latency, parts = measurement["latency"], measurement["parts"]
    figures = {
        "rate/s": measurement["rate"],
        "p50 ms": latency["p50"],
        "p99 ms": latency["p99"],
        "ratio to no-op": measurement["ratioToNoop"],
        "CPU s": sum(part["cpuS"] for name, part in parts.items() if name != "load"),
    }
    return {name: value for name, value in figures.items() if value}
