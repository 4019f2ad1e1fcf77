"""Render a run as one HTML file that needs nothing else: no scripts, no fonts, no network."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import UTC, datetime

from django.template.loader import render_to_string

from bench.report.charts import Chart, curve, latency_chart
from bench.report.compare import Change
from bench.report.document import Document
from bench.report.tables import stored_of, tables

LONG_S = 120  # from here on the curves of memory say something


def render(document: Document, changes: Sequence[Change] = ()) -> str:
    """Return the page, with the changes since an earlier run, if there are any."""
    context = {
        "document": document,
        "started": datetime.fromtimestamp(document["startedAt"] / 1000, UTC),
        "facts": document["service"] | document["machine"],
        "stored": stored_of(document),
        "tables": tables(document, changes),
        "cards": [(each["title"], list(_charts(each))) for each in document["measurements"]],
    }
    return render_to_string("bench/page.html", context)


def _charts(measurement: Document) -> Iterator[Chart]:
    if measurement["histogram"]:
        marked = {name: measurement["latency"][name] for name in ("p50", "p99")}
        yield latency_chart(measurement["histogram"], marked)
    for key, name in (
        ("ratesEachSecond", "answers in each second"),
        ("pendingEachSecond", "pending in Redis, until stored"),
    ):
        if len(values := measurement[key]) > 1:
            yield curve(values, name=name)
    for name, part in measurement["parts"].items():
        if len(values := part["memoryMbEachSecond"]) >= LONG_S:
            yield curve(values, name=f"memory of the largest {name} process, MB")
