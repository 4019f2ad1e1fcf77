"""Present a trace as text, as JSON and as rows of a page.

A report has ids, times, numbers and marks, never anything that a user has written. Pure.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from messaging.audit.findings import Fate
from messaging.trace import facts
from messaging.trace.evidence import Cached, Event, Logged, Stored, Trace
from messaging.trace.facts import Fact
from messaging.trace.texts import Text

SECONDS_FROM_MS = 10_000
MINUTES_FROM_MS = 600_000

Say = Callable[[str], str]


@dataclass(frozen=True, slots=True)
class Row:
    """Hold one row of a report: `since` is the time since the id's, such as `+9 ms`, or ''."""

    since: str
    step: str
    place: str
    facts: tuple[str, ...]


def head(trace: Trace, say: Say = str) -> tuple[str, str]:
    """Return what the id tells, and the conversation. `say` translates a text."""
    sent = Fact(
        Text.SENT,
        time=_utc_time(trace.sent_ms),
        worker=trace.worker,
        datacenter=trace.datacenter,
    )
    if trace.conversation_id is None:
        return sent.told(say), say(Text.NO_CONVERSATION)
    of = Fact(Text.CONVERSATION, conversation=trace.conversation_id, partition=trace.partition)
    return sent.told(say), of.told(say)


def rows(trace: Trace, say: Say = str) -> Iterator[Row]:
    """Yield the rows of a report; the last one has the fate. `say` translates a text."""
    for since_ms, step, place, told in _steps(trace):
        since = "" if since_ms is None else _span(since_ms - trace.sent_ms)
        yield Row(since, say(step), say(place) if place else "", tuple(f.told(say) for f in told))


def _steps(trace: Trace) -> Iterator[tuple[int | None, Text, Text | None, list[Fact]]]:
    cached, logged, stored = trace.cached, trace.logged, trace.stored
    sent_ms = trace.sent_ms if trace.is_known else None
    yield sent_ms, Text.ACCEPTED, Text.CACHE, facts.of_cache(cached, trace.message_id)
    for event in logged.events[:-1] if logged else ():
        yield event.appended_ms, Text.APPENDED, Text.LOG, facts.of_event(event)
    last = logged.events[-1] if logged and logged.events else None
    appended_ms = last.appended_ms if last else None
    yield appended_ms, Text.APPENDED, Text.LOG, facts.of_log(logged, last)
    yield None, Text.PERSISTED, Text.STORE, facts.of_store(stored, trace.message_id)
    if (recall_ms := _recall_ms(cached, stored)) is not None:
        is_stored = stored is not None and stored.row is not None and stored.row.recall_ms
        told = Text.RECALL_STORED if is_stored else Text.RECALL_NOT_STORED
        yield recall_ms, Text.RECALLED, None, [Fact(told)]
    yield None, Text.FATE, None, facts.of_fate(trace)


def _recall_ms(cached: Cached | None, stored: Stored | None) -> int | None:
    if stored and stored.row and stored.row.recall_ms is not None:
        return stored.row.recall_ms
    return cached.recall_ms if cached else None


def lines(trace: Trace) -> Iterator[str]:
    """Yield the report for a terminal."""
    yield "  ".join([str(trace.message_id), *head(trace)])
    body = list(rows(trace))
    cells = [(row.since, row.step, row.place) for row in body]
    widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
    for row, left in zip(body, cells, strict=True):
        padded = [cell.ljust(width) for cell, width in zip(left, widths, strict=True)]
        yield "  ".join([*padded, ", ".join(row.facts)])


def document_of(trace: Trace) -> dict[str, Any]:
    """Return the trace as JSON has it; times in milliseconds, ids as strings, null for away."""
    is_settled = trace.is_certain and trace.is_known
    return {
        "messageId": str(trace.message_id),
        "sentAt": trace.sent_ms,
        "datacenter": trace.datacenter,
        "worker": trace.worker,
        "conversationId": trace.conversation_id,
        "partition": trace.partition,
        "redis": trace.cached and _cached(trace.cached),
        "log": trace.logged and _logged(trace.logged),
        "database": trace.stored and _stored(trace.stored),
        "away": [place.value for place in trace.away],
        "fate": trace.fate.value if is_settled or trace.fate is not Fate.UNACCOUNTED else None,
        "repeats": _id(trace.repeats),
        "known": trace.is_known,
        "certain": trace.is_certain,
    }


def _cached(cached: Cached) -> dict[str, Any]:
    return {
        "detail": cached.detail and cached.detail.value,
        "recalledAt": cached.recall_ms,
        "recallMark": cached.has_recall_mark,
        "pendingSince": cached.pending_since_ms,
        "attempts": cached.attempts,
        "listed": cached.is_listed,
        "idempotencyRecordOf": _id(cached.record_of),
        "aliasOf": _id(cached.alias_of),
    }


def _logged(logged: Logged) -> dict[str, Any]:
    return {
        "events": [_event(event) for event in logged.events],
        "found": logged.found,
        "searched": logged.searched,
        "lag": logged.lag,
        "whole": logged.is_whole,
    }


def _event(event: Event) -> dict[str, Any]:
    return {
        "event": event.action.value,
        "partition": event.partition,
        "offset": event.offset,
        "committed": event.is_committed,
        "appendedAt": event.appended_ms,
    }


def _stored(stored: Stored) -> dict[str, Any]:
    row = stored.row
    return {
        "row": row
        and {
            "seq": row.seq,
            "recalledAt": row.recall_ms,
            "persistStatus": row.persist_status.value,
            "idempotencyRecordOf": _id(row.key_of),
        },
        "aliasOf": _id(stored.alias_of),
        "deletes": stored.deletes,
        "hints": stored.hints,
        "deadLetters": sorted(state.value for state in stored.letters),
    }


def _id(message_id: int | None) -> str | None:
    return None if message_id is None else str(message_id)


def _utc_time(time_ms: int) -> str:
    moment = datetime.fromtimestamp(time_ms // 1000, UTC)
    return f"{moment:%Y-%m-%dT%H:%M:%S}.{time_ms % 1000:03d}Z"


def _span(ms: int) -> str:
    """Return a span of time after the id's time, or before it where clocks differ."""
    if abs(ms) < SECONDS_FROM_MS:
        return f"{ms:+d} ms"
    if abs(ms) < MINUTES_FROM_MS:
        return f"{ms / 1_000:+.1f} s"
    return f"{ms / 60_000:+.0f} min"
