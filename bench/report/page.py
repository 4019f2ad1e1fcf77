"""Render a run as one HTML file that needs nothing else: no scripts, no fonts, no network.

Pure.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from datetime import UTC, datetime
from html import escape

from bench.report.charts import curve, latency_chart
from bench.report.compare import Change
from bench.report.document import Document
from bench.report.text import LATENCIES

LONG_S = 120  # from here on the curves of memory say something
STYLE = """
:root { color-scheme: light dark; --ink: #1c2430; --soft: #5b6675; --line: #dfe4ea;
  --paper: #ffffff; --card: #f6f8fa; --blue: #2f6fdb; --green: #1d7f4a; --red: #c0362c; }
@media (prefers-color-scheme: dark) { :root { --ink: #e6eaf0; --soft: #98a3b3; --line: #303947;
  --paper: #12161c; --card: #1a2029; --blue: #6fa3ff; --green: #4cc38a; --red: #ff7b72; } }
* { box-sizing: border-box; }
body { margin: 0 auto; padding: 2rem 1.5rem 4rem; max-width: 78rem; background: var(--paper);
  color: var(--ink); font: 15px/1.5 system-ui, sans-serif; }
h1 { margin: 0; font-size: 1.5rem; } h2 { margin: 2.5rem 0 .75rem; font-size: 1.15rem; }
h3 { margin: 0 0 .5rem; font-size: .95rem; } p { margin: .25rem 0; }
.wide + p { margin-top: 1.25rem; } .soft { color: var(--soft); }
.verdict { margin: 1.25rem 0; padding: .75rem 1rem; border-left: 4px solid; background: var(--card);
  font-weight: 600; } .good { color: var(--green); } .bad { color: var(--red); }
.wide { overflow-x: auto; }
table { border-collapse: collapse; width: 100%; font-variant-numeric: tabular-nums; }
th, td { padding: .35rem .7rem; border-bottom: 1px solid var(--line); text-align: right;
  white-space: nowrap; } th { color: var(--soft); font-size: .8rem; font-weight: 500; }
th:first-child, td:first-child { text-align: left; }
td.long { min-width: 16rem; white-space: normal; }
tr.part td:first-child { padding-left: 1.8rem; } tr.part td { color: var(--soft); }
.cards { display: grid; gap: 1rem; } .card { padding: 1rem; background: var(--card);
  border: 1px solid var(--line); border-radius: 8px; }
.charts { display: grid; grid-template-columns: repeat(auto-fit, minmax(20rem, 1fr)); gap: 1rem; }
figure { margin: 0; } figcaption { color: var(--soft); font-size: .8rem; }
svg { display: block; width: 100%; overflow: visible; }
svg text { fill: var(--soft); font-size: 10px; }
svg .bar { fill: var(--blue); } svg .curve { fill: none; stroke: var(--blue); stroke-width: 1.75;
  stroke-linejoin: round; } svg .grid { stroke: var(--line); } svg .axis { stroke: var(--soft); }
svg .mark { stroke: var(--red); stroke-dasharray: 3 3; }
"""


def render(document: Document, changes: Sequence[Change] = ()) -> str:
    """Return the page, with the changes since an earlier run, if there are any."""
    return (
        '<!doctype html><html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>Benchmark {escape(document['run'])}</title><style>{STYLE}</style></head><body>"
        + "".join(_sections(document, changes))
        + "</body></html>\n"
    )


def _sections(document: Document, changes: Sequence[Change]) -> Iterator[str]:
    yield from _heading(document)
    yield "<h2>Goals</h2>"
    yield "<p class=soft>Of the full stack, with the load and everything else on two cores.</p>"
    yield _table(
        ("", "wanted", "reached", ""),
        (
            (each["what"], each["goal"], each["reached"], _mark(each["met"]))
            for each in document["goals"]
        ),
    )
    yield "<h2>Latency and throughput</h2>"
    yield _latencies(document["measurements"])
    yield "<h2>What it costs</h2>"
    yield "<p class=soft>CPU seconds for 1,000 requests, until what was sent is stored.</p>"
    yield _costs(document["measurements"], "cpuS", "{:.3f}")
    yield "<p class=soft>Peak memory of the largest process, MB.</p>"
    yield _costs(document["measurements"], "peakMb", "{:,.0f}")
    if changes:
        yield "<h2>Since the earlier run</h2>"
        yield _changes(changes)
    yield "<h2>Curves</h2><div class=cards>"
    yield from map(_card, document["measurements"])
    yield "</div>"


def _heading(document: Document) -> Iterator[str]:
    started = datetime.fromtimestamp(document["startedAt"] / 1000, UTC)
    facts = {**document["service"], **document["machine"]}
    yield f"<h1>Benchmark {escape(document['run'])}</h1>"
    told = " · ".join(f"{escape(name)}: {escape(str(value))}" for name, value in facts.items())
    yield f"<p class=soft>{started:%Y-%m-%d %H:%M} UTC · {told}</p>"
    kind = "good" if document["passed"] else "bad"
    yield f'<p class="verdict {kind}">{escape(document["verdict"])}</p>'
    check = document["check"]
    yield (
        f"<p class=soft>{check['stored']:,} rows stored; {check['unacknowledged']:,} of them "
        f"without an answer, {check['overtaken']:,} numbered after a later one of their sender.</p>"
    )
    for note in document["notes"]:
        yield f"<p class=soft>Note: {escape(note)}</p>"


def _latencies(measurements: Sequence[Document]) -> str:
    rows = []
    for each in measurements:
        has_latency = bool(each["histogram"])
        latency = [f"{each['latency'][n]:,.2f}" if has_latency else "" for n in LATENCIES]
        ratio = f"{each['ratioToNoop']:.3f}" if each["ratioToNoop"] else ""
        rate = f"{each['rate']:,.0f}"
        rows.append((each["title"], rate, ratio, *latency, _answers(each)))
        if len(each["operations"]) > 1:
            for operation, found in each["operations"].items():
                rows.append((f" {operation}", "", "", *(f"{found[n]:,.2f}" for n in LATENCIES), ""))
    names = [f"{name}, ms" for name in LATENCIES]
    return _table(("", "a second", "of no-op", *names, "answers"), rows)


def _answers(measurement: Document) -> str:
    total = sum(measurement["durability"].values())
    shares = [f"{name} {n / total:.1%}" for name, n in measurement["durability"].items()]
    errors = [f"{name}: {count:,}" for name, count in measurement["errors"].items()]
    return ", ".join([*shares, *errors])


def _costs(measurements: Sequence[Document], key: str, form: str) -> str:
    names = list(dict.fromkeys(name for each in measurements for name in each["parts"]))
    rows = (
        (
            each["title"],
            *(_told(each["parts"].get(name), key, form) for name in names),
        )
        for each in measurements
    )
    return _table(("", *names), rows)


def _told(part: Document | None, key: str, form: str) -> str:
    return form.format(part[key]) if part and part["peakMb"] else ""


def _changes(changes: Sequence[Change]) -> str:
    rows = (
        (
            f"{each.title}: {each.figure}",
            f"{each.before:,.3f}",
            f"{each.now:,.3f}",
            f"{each.percent:+.0f}%",
        )
        for each in changes
    )
    return _table(("", "before", "now", ""), rows)


def _card(measurement: Document) -> str:
    figures = []
    if measurement["histogram"]:
        marks = {name: measurement["latency"][name] for name in ("p50", "p99")}
        figures.append(("requests by latency", latency_chart(measurement["histogram"], marks)))
    for key, name in (
        ("ratesEachSecond", "answers in each second"),
        ("pendingEachSecond", "pending in Redis, until stored"),
    ):
        if len(values := measurement[key]) > 1:
            figures.append((name, curve(values, name=name)))
    for name, part in measurement["parts"].items():
        if len(values := part["memoryMbEachSecond"]) >= LONG_S:
            label = f"memory of the largest {name} process, MB"
            figures.append((label, curve(values, name=label)))
    drawn = "".join(
        f"<figure><figcaption>{escape(name)}</figcaption>{svg}</figure>" for name, svg in figures
    )
    title = escape(measurement["title"])
    return f"<section class=card><h3>{title}</h3><div class=charts>{drawn}</div></section>"


def _mark(met: bool) -> str:
    return "met" if met else "missed"


def _table(heads: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Return a table.

    A row whose title begins with a blank is a part of the row above.
    """
    head = "".join(f"<th>{escape(each)}</th>" for each in heads)
    body = "".join(
        f"<tr{' class=part' if row[0].startswith(' ') else ''}>"
        + "".join(f"<td{_kind(cell)}>{escape(cell)}</td>" for cell in row)
        + "</tr>"
        for row in rows
    )
    return (
        f"<div class=wide><table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table></div>"
    )


def _kind(cell: str) -> str:
    if cell in ("met", "missed"):
        return f' class="{"good" if cell == "met" else "bad"}"'
    return ' class="long"' if ", " in cell and ": " in cell else ""
