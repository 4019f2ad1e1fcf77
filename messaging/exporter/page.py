"""Make the text that Prometheus reads, out of the sums over processes and the sources' answers."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from itertools import accumulate

from prometheus_client import CollectorRegistry
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily
from prometheus_client.exposition import generate_latest
from prometheus_client.metrics_core import Metric
from prometheus_client.registry import Collector
from prometheus_client.utils import floatToGoString

from messaging.exporter import asked
from messaging.exporter.asked import Answers, Asked
from messaging.exporter.counts import MILLION, is_total, served_keys
from messaging.exporter.gathering import Gathered
from messaging.metrics.catalogue import FAMILIES
from messaging.metrics.families import Family, Histogram, Labels


@dataclass(frozen=True, slots=True)
class View:
    """Hold all that the exporter knows at one moment.

    `answers`: by the name of the source; None where the source failed.
    """

    gathered: Gathered
    answers: Mapping[str, Answers | None]

    def asked(self) -> dict[Asked, dict[Labels, float]]:
        """Return the answers of all sources by family; several sources may answer one family."""
        joined: dict[Asked, dict[Labels, float]] = {}
        for answers in self.answers.values():
            for family, numbers in (answers or {}).items():
                joined.setdefault(family, {}).update(numbers)
        return joined


class Page(Collector):
    """Make the text anew at each call of `text`; any thread may call it."""

    def __init__(self, view: Callable[[], View]) -> None:
        self._view = view
        self._registry = CollectorRegistry(auto_describe=False)
        self._registry.register(self)

    def text(self) -> bytes:
        return generate_latest(self._registry)

    def collect(self) -> Iterator[Metric]:
        view = self._view()
        for family in FAMILIES:
            yield from _of_processes(family, view.gathered)
        yield _metric(asked.processes, {(r,): n for r, n in view.gathered.processes.items()})
        yield _metric(asked.build_info, {(each,): 1 for each in view.gathered.releases})
        for question, numbers in view.asked().items():
            if numbers:
                yield _metric(question, numbers)
        yield _metric(
            asked.source_ok, {(name,): each is not None for name, each in view.answers.items()}
        )


def _metric(family: Asked, numbers: Mapping[Labels, float]) -> Metric:
    kind = CounterMetricFamily if family.name.endswith("_total") else GaugeMetricFamily
    metric = kind(family.name, family.text, labels=family.labels)
    for labels, number in sorted(numbers.items()):
        metric.add_metric(labels, number)
    return metric


def _of_processes(family: Family, gathered: Gathered) -> Iterator[Metric]:
    """Yield the metric of a family; none where no process reads a gauge."""
    labels = (*family.labels, "role") if family.by_role else tuple(family.labels)
    if isinstance(family, Histogram):
        yield _histogram(family, labels, gathered)
        return
    if is_total(family):
        found = {key: gathered.counts[family.name, key][0] / MILLION for key in served_keys(family)}
    else:
        found = {
            key: gathered.gauges[family.name, key]
            for key in served_keys(family)
            if (family.name, key) in gathered.gauges
        }
    if found:
        yield _metric(Asked(family.name, family.text, labels), found)


def _histogram(family: Histogram, labels: Labels, gathered: Gathered) -> Metric:
    metric = HistogramMetricFamily(family.name, family.text, labels=labels)
    ends = [*map(floatToGoString, family.edges), "+Inf"]
    for key in served_keys(family):
        cell = gathered.counts[family.name, key]
        below = (number / MILLION for number in accumulate(cell[:-1]))
        metric.add_metric(key, list(zip(ends, below, strict=True)), cell[-1] / MILLION)
    return metric
