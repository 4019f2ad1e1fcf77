"""Put the evidence of a trace into facts, each a text with the values to fill in. Pure."""

from __future__ import annotations

from collections.abc import Callable

from messaging.audit.findings import Fate
from messaging.domain.message import PersistStatus
from messaging.trace.evidence import Cached, Event, Logged, Stored, Trace
from messaging.trace.texts import Text

FATES = {
    Fate.PERSISTED: Text.PERSISTED,
    Fate.RECALLED: Text.RECALLED,
    Fate.DUPLICATE: Text.IS_DUPLICATE,
    Fate.DEAD_LETTER: Text.IS_DEAD_LETTER,
    Fate.DISCARDED: Text.IS_DISCARDED,
    Fate.PENDING: Text.IS_PENDING,
    Fate.UNDER_WAY: Text.IS_UNDER_WAY,
    Fate.UNACCOUNTED: Text.IS_UNACCOUNTED,
}


class Fact:
    """Hold a text with the values of its braces."""

    def __init__(self, text: Text, **values: object) -> None:
        self._text = text
        self._values = values

    def told(self, say: Callable[[str], str]) -> str:
        """Return the fact in the language of `say`."""
        return say(self._text).format(**self._values)


def of_cache(cached: Cached | None, message_id: int) -> list[Fact]:
    if cached is None:
        return [Fact(Text.AWAY)]
    if not cached.knows_it:
        return [Fact(Text.NOTHING)]
    detail = cached.detail
    told = [Fact(Text.DETAIL, status=detail.value) if detail else Fact(Text.NO_DETAIL)]
    is_pending = cached.pending_since_ms is not None
    told.append(Fact(Text.PENDING_MARK if is_pending else Text.NO_PENDING_MARK))
    if cached.attempts:
        told.append(Fact(Text.ATTEMPTS, count=cached.attempts))
    if cached.is_listed is not None:
        told.append(Fact(Text.LISTED if cached.is_listed else Text.NOT_LISTED))
    if cached.has_recall_mark:
        told.append(Fact(Text.RECALL_MARK))
    if cached.alias_of is not None:
        told.append(Fact(Text.ALIAS, id=cached.alias_of))
    return told + _of_record(cached.record_of, message_id)


def of_event(event: Event) -> list[Fact]:
    place = Fact(
        Text.EVENT, event=event.action.value, partition=event.partition, offset=event.offset
    )
    return [place, Fact(Text.COMMITTED if event.is_committed else Text.NOT_COMMITTED)]


def of_log(logged: Logged | None, last: Event | None) -> list[Fact]:
    """Return the facts of the last event and those of the search."""
    if logged is None:
        return [Fact(Text.AWAY)]
    told = of_event(last) if last else []
    if more := logged.found - len(logged.events):
        told.append(Fact(Text.MORE_EVENTS, count=more))
    if not logged.is_whole:
        return [*told, Fact(Text.CUT_OFF, count=logged.searched)]
    if not last:
        told.append(Fact(Text.NO_EVENT, count=logged.searched))
    return [*told, Fact(Text.LAG, count=logged.lag)]


def of_store(stored: Stored | None, message_id: int) -> list[Fact]:
    if stored is None:
        return [Fact(Text.AWAY)]
    if not stored.knows_it:
        return [Fact(Text.NOTHING)]
    told, row = [Fact(Text.NO_ROW)], stored.row
    if row is not None:
        text = Text.ROW if row.recall_ms is None else Text.TOMBSTONE
        told = [Fact(text, seq=row.seq)]
        if row.persist_status is not PersistStatus.PERSISTED:
            told.append(Fact(Text.MARKED, status=row.persist_status.value))
        told += _of_record(row.key_of, message_id)
    if stored.alias_of is not None:
        told.append(Fact(Text.ALIAS, id=stored.alias_of))
    if stored.record_of is not None:
        told.append(Fact(Text.REPEATS, id=stored.record_of))
    told += [Fact(Text.LETTER, state=state.value) for state in sorted(stored.letters)]
    return [*told, Fact(Text.DELETES, count=stored.deletes), Fact(Text.HINTS, count=stored.hints)]


def of_fate(trace: Trace) -> list[Fact]:
    """Return the fate, and whether the fate is certain."""
    if trace.fate is Fate.UNACCOUNTED:
        if not trace.is_certain:
            return [Fact(Text.IS_NOT_CLEAR)]
        return [Fact(Text.IS_UNACCOUNTED if trace.is_known else Text.IS_UNKNOWN)]
    told = [Fact(FATES[trace.fate], id=trace.repeats)]
    return told if trace.is_certain else [*told, Fact(Text.NOT_CERTAIN)]


def _of_record(record_of: int | None, message_id: int) -> list[Fact]:
    """Return the fact of the idempotency record of the message's clientMsgId, if there is one."""
    if record_of is None:
        return []
    own = record_of == message_id
    return [Fact(Text.RECORD) if own else Fact(Text.RECORD_OTHER, id=record_of)]
