"""Show dead letters as text and as JSON, for `manage.py dead_letters`.

A body is shown only on request.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator
from datetime import UTC
from typing import Any

from django.utils import timezone

from messaging.admin.display import age, text_of
from messaging.models import DeadLetter

HEADINGS = ("id", "state", "reason", "age", "attempts", "source", "message", "error")
ERROR_CHARACTERS = 80


def as_document(row: DeadLetter) -> dict[str, Any]:
    """Return a letter for JSON, without its record; ids of messages are strings."""
    return {
        "id": row.pk,
        "state": row.state,
        "reason": row.reason,
        "error": row.error,
        "topic": row.topic,
        "partition": row.partition,
        "offset": row.offset,
        "attempts": row.attempts,
        "messageId": None if row.message_id is None else str(row.message_id),
        "keptAt": row.created_at.astimezone(UTC).isoformat(timespec="seconds"),
        "changedAt": row.updated_at.astimezone(UTC).isoformat(timespec="seconds"),
    }


def record_of(row: DeadLetter) -> dict[str, Any]:
    """Return the key, size and digest of a letter's record for JSON, without the record itself."""
    value = bytes(row.value)
    return {
        "key": text_of(row.key),
        "valueBytes": len(value),
        "valueSha256": hashlib.sha256(value).hexdigest(),
    }


def table(rows: Iterable[DeadLetter]) -> Iterator[str]:
    """Yield the headings, and under them a line for each row."""
    lines = [HEADINGS, *map(_cells, rows)]
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    for cells in lines:
        padded = [cell.ljust(width) for cell, width in zip(cells, widths, strict=True)]
        yield "  ".join(padded).rstrip()


def _cells(row: DeadLetter) -> tuple[str, ...]:
    return (
        str(row.pk),
        row.state.lower(),
        printable(row.reason),
        age((timezone.now() - row.created_at).total_seconds()),
        str(row.attempts),
        source_of(row),
        "–" if row.message_id is None else str(row.message_id),
        printable(row.error)[:ERROR_CHARACTERS],
    )


def source_of(row: DeadLetter) -> str:
    if row.partition < 0:
        return "compensation"
    return f"{row.topic}/{row.partition}/{row.offset}"


def sheet(row: DeadLetter) -> Iterator[str]:
    """Yield everything about one letter but its record, a line each."""
    document, record = as_document(row), record_of(row)
    yield f"dead letter  {row.pk}, {row.state.lower()}"
    yield f"reason       {printable(row.reason)}"
    yield f"exception    {printable(row.error) or '–'}"
    yield f"source       {source_of(row)}"
    yield f"message      {document['messageId'] or '–'}"
    yield f"attempts     {row.attempts}"
    yield f"kept         {document['keptAt']}"
    yield f"changed      {document['changedAt']}"
    yield f"key          {printable(record['key']) or '–'}"
    yield f"value        {record['valueBytes']:,} bytes, sha256 {record['valueSha256']}"


def printable(text: str) -> str:
    """Return the text with control and direction characters named, lest a terminal obeys them."""
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)
