"""Tell which counts of the process have grown since a test began to look."""

from __future__ import annotations

from messaging.metrics.families import Counter, Histogram, Labels


class Growth:
    """Hold the counts of a family as they were; `by_labels` returns by how much each has grown.

    Of a histogram the numbers of values count, whatever their sizes.
    """

    def __init__(self, family: Counter | Histogram) -> None:
        self._family = family
        self._before = self._now()

    def by_labels(self) -> dict[Labels, float]:
        grown = {key: count - self._before[key] for key, count in self._now().items()}
        return {key: count for key, count in grown.items() if count}

    def _now(self) -> dict[Labels, float]:
        if isinstance(self._family, Counter):
            return dict(self._family.values)
        return {key: sum(cell[:-1]) for key, cell in self._family.cells.items()}
