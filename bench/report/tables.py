"""Make the tables of a run, which the text and the page both show.

Pure.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from bench.report.compare import Change
from bench.report.document import Document, service_us

LATENCIES = ("p50", "p90", "p99", "p99.9", "max")
Row = Sequence[str]


@dataclass(frozen=True, slots=True)
class Table:
    """Hold a table of texts: each row is a title and a text for each head.

    The title of a row that is a part of the row above begins with blanks.
    """

    title: str
    heads: Row
    rows: Sequence[Row]
    about: str = ""


def tables(document: Document, changes: Sequence[Change]) -> list[Table]:
    """Return the goals, then all that was measured, with any changes since an earlier run."""
    measurements = document["measurements"]
    goals = [
        (each["what"], each["goal"], each["reached"], "met" if each["met"] else "MISSED")
        for each in document["goals"]
    ]
    two_cores = "Of the full stack, with the load and everything else on two cores."
    latency_heads = ("a second", "of no-op", *LATENCIES)
    made = [
        Table("Goals", ("wanted", "reached", ""), goals, two_cores),
        Table("Throughput, and latency in ms", latency_heads, [*_latency_rows(measurements)]),
        _answers(measurements),
        _stored_after(measurements),
        _cpu(measurements),
        _memory(measurements),
    ]
    if changes:
        rows = [
            (f"{e.title}: {e.figure}", f"{e.before:,.3f}", f"{e.now:,.3f}", f"{e.percent:+.0f}%")
            for e in changes
        ]
        made.append(Table("Since the earlier run", ("before", "now", ""), rows))
    return made


def stored_of(document: Document) -> str:
    """Return in a sentence how many rows were stored, and how."""
    check = document["check"]
    return (
        f"{check['stored']:,} rows stored; {check['unacknowledged']:,} of them without an answer, "
        f"{check['overtaken']:,} numbered after a later one of their sender."
    )


def _latency_rows(measurements: Sequence[Document]) -> Iterator[Row]:
    for each in measurements:
        ratio = f"{each['ratioToNoop']:.3f}" if each["ratioToNoop"] else ""
        latencies = _latencies(each["latency"]) if each["histogram"] else [""] * len(LATENCIES)
        yield each["title"], f"{each['rate']:,.0f}", ratio, *latencies
        if len(each["operations"]) > 1:
            for operation, latency in each["operations"].items():
                yield f"  {operation}", "", "", *_latencies(latency)


def _latencies(latency: Document) -> list[str]:
    return [f"{latency[name]:,.2f}" for name in LATENCIES]


def _answers(measurements: Sequence[Document]) -> Table:
    names = list(dict.fromkeys(name for each in measurements for name in each["durability"]))
    rows = []
    for each in measurements:
        counts, total = each["durability"], sum(each["durability"].values())
        shares = [f"{counts[name] / total:.1%}" if name in counts else "" for name in names]
        errors = ", ".join(f"{name}: {count:,}" for name, count in each["errors"].items())
        rows.append((each["title"], *shares, errors))
    return Table("Answers by durability", (*names, "errors"), rows)


def _stored_after(measurements: Sequence[Document]) -> Table:
    rows = [
        (each["title"], *_latencies(each["storedAfter"]))
        for each in measurements
        if each["storedAfter"]["max"]
    ]
    about = "From the send time of a message until its row is stored and the cache knows of it."
    return Table("Stored after, in ms", LATENCIES, rows, about)


def _cpu(measurements: Sequence[Document]) -> Table:
    """Return the CPU of each part, and of the service without the load."""
    names = _part_names(measurements)
    rows = []
    for each in measurements:
        used = _used(each)
        cells = (f"{used[name]['cpuS'] * 1000:,.0f}" if name in used else "" for name in names)
        rows.append((each["title"], *cells, f"{service_us(each):,.0f}"))
    about = "From the first request until what was sent is stored."
    return Table("CPU microseconds a request", (*names, "service"), rows, about)


def _memory(measurements: Sequence[Document]) -> Table:
    names = _part_names(measurements)
    rows = []
    for each in measurements:
        used = _used(each)
        cells = (f"{used[name]['peakMb']:,.0f}" if name in used else "" for name in names)
        rows.append((each["title"], *cells))
    return Table("Peak memory of the largest process, MB", names, rows)


def _part_names(measurements: Sequence[Document]) -> list[str]:
    return list(dict.fromkeys(name for each in measurements for name in each["parts"]))


def _used(measurement: Document) -> dict[str, Document]:
    return {name: part for name, part in measurement["parts"].items() if part["peakMb"]}
