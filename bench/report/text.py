"""Present a run as text for a terminal."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from bench.report.compare import Change
from bench.report.document import Document
from bench.report.tables import Table, stored_of, tables


def lines(document: Document, changes: Sequence[Change] = ()) -> Iterator[str]:
    """Yield the report, with any changes since an earlier run; the verdict comes last."""
    goals, *measured = tables(document, changes)
    for table in (*measured, goals):
        yield from _drawn(table)
    for note in document["notes"]:
        yield f"Note: {note}"
    yield ""
    yield stored_of(document)
    yield document["verdict"]


def _drawn(table: Table) -> Iterator[str]:
    rows = [(table.title, *table.heads), *table.rows]
    width, *widths = (max(map(len, column)) for column in zip(*rows, strict=True))
    yield ""
    for title, *cells in rows:
        told = "".join(f"  {cell:>{wide}}" for cell, wide in zip(cells, widths, strict=True))
        yield f"{title:<{width}}{told}".rstrip()
