"""Present a run as text for a terminal."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from bench.laps.measurement import TITLE_CHARACTERS
from bench.report.compare import Change
from bench.report.document import Document

LATENCIES = ("p50", "p90", "p99", "p99.9", "max")


def lines(document: Document, changes: Sequence[Change] = ()) -> Iterator[str]:
    """Yield the report, with any changes since an earlier run; the verdict comes last."""
    yield from _latencies(document["measurements"])
    yield from _answers(document["measurements"])
    yield from _costs(document["measurements"])
    yield from _changes(changes)
    yield from _goals(document["goals"])
    for note in document["notes"]:
        yield f"Note: {note}"
    check = document["check"]
    yield ""
    yield (
        f"{check['stored']:,} rows stored; {check['unacknowledged']:,} of them without an answer, "
        f"{check['overtaken']:,} numbered after a later one of their sender"
    )
    yield document["verdict"]


def _latencies(measurements: Sequence[Document]) -> Iterator[str]:
    yield ""
    yield f"{'latency, ms':<{TITLE_CHARACTERS}} {'a second':>9}" + _cells(LATENCIES)
    for each in measurements:
        if not each["latency"]["max"]:
            yield f"{each['title']:<{TITLE_CHARACTERS}} {each['rate']:>9,.0f}"
            continue
        yield (
            f"{each['title']:<{TITLE_CHARACTERS}} {each['rate']:>9,.0f}"
            + _cells([f"{each['latency'][name]:,.2f}" for name in LATENCIES])
        )
        if len(each["operations"]) > 1:
            for operation, latency in each["operations"].items():
                told = _cells([f"{latency[name]:,.2f}" for name in LATENCIES])
                yield f"  {operation:<{TITLE_CHARACTERS + 8}}{told}"


def _answers(measurements: Sequence[Document]) -> Iterator[str]:
    yield ""
    yield f"{'answers':<{TITLE_CHARACTERS}} {'no-op':>7}  durability and errors"
    for each in measurements:
        ratio = f"{each['ratioToNoop']:.3f}" if each["ratioToNoop"] else ""
        total = sum(each["durability"].values())
        shares = [f"{name} {count / total:.1%}" for name, count in each["durability"].items()]
        errors = [f"{name}: {count:,}" for name, count in each["errors"].items()]
        told = ", ".join([*shares, *errors])
        yield f"{each['title']:<{TITLE_CHARACTERS}} {ratio:>7}  {told}".rstrip()


def _costs(measurements: Sequence[Document]) -> Iterator[str]:
    names = list(dict.fromkeys(name for each in measurements for name in each["parts"]))
    for title, key, form in (
        ("CPU seconds for 1,000 requests", "cpuS", "{:.3f}"),
        ("peak memory of a process, MB", "peakMb", "{:,.0f}"),
    ):
        yield ""
        yield f"{title:<{TITLE_CHARACTERS}}" + _cells(names)
        for each in measurements:
            parts = each["parts"]
            there = [name for name in names if name in parts and parts[name]["peakMb"]]
            told = [form.format(parts[name][key]) if name in there else "" for name in names]
            yield f"{each['title']:<{TITLE_CHARACTERS}}" + _cells(told)


def _changes(changes: Sequence[Change]) -> Iterator[str]:
    if changes:
        yield ""
        yield f"{'since the earlier run':<{TITLE_CHARACTERS + 16}}" + _cells(["before", "now"])
    for each in changes:
        told = _cells([f"{each.before:,.3f}", f"{each.now:,.3f}", f"{each.percent:+.0f}%"])
        yield f"{each.title:<{TITLE_CHARACTERS}}{each.figure:<16}{told}"


def _goals(goals: Sequence[Document]) -> Iterator[str]:
    yield ""
    yield f"{'goal':<{TITLE_CHARACTERS}} {'wanted':>12} {'reached':>12}"
    for each in goals:
        mark = "met" if each["met"] else "MISSED"
        yield f"{each['what']:<{TITLE_CHARACTERS}} {each['goal']:>12} {each['reached']:>12}  {mark}"


def _cells(texts: Sequence[str]) -> str:
    return "".join(f" {text:>9}" for text in texts)
