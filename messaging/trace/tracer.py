"""Ask every place for one message, and decide the message's fate as the audit does."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable
from dataclasses import dataclass, replace
from typing import TypeVar

from messaging.audit.fates import fate_of, repeats_record
from messaging.audit.findings import Fate
from messaging.domain.backend_errors import BackendError
from messaging.domain.message import Key, Message, PersistStatus
from messaging.ports.audit import CacheInspector, LogInspector, StoredRow, StoreInspector
from messaging.ports.cache import MessageCache
from messaging.trace.evidence import Cached, Logged, Place, Row, Stored, Trace
from messaging.trace.log import LogSearch

MOST_NAMED = 10  # messages of one clientMsgId
# Fates without a row that nothing in the log changes, once the database has told what it has.
BY_THE_STORE = frozenset({Fate.DEAD_LETTER, Fate.DISCARDED, Fate.PENDING})

Answer = TypeVar("Answer")


@dataclass(frozen=True, slots=True, kw_only=True)
class TraceBackends:
    """Hold the ports that a trace reads."""

    cache: MessageCache
    cached: CacheInspector
    stored: StoreInspector
    log: LogInspector


@dataclass(frozen=True, slots=True)
class Named:
    """Hold the ids of the messages that a clientMsgId stands for, and the places that were away."""

    message_ids: tuple[int, ...]
    away: tuple[Place, ...]


class Tracer:
    """Ask the places one after the other, each for `timeout_s` at most.

    No error of a place leaves the tracer: a place that fails or is late is away.
    """

    def __init__(self, backends: TraceBackends, *, timeout_s: float) -> None:
        self._backends = backends
        self._timeout_s = timeout_s

    async def ids_of(self, send: Key) -> Named:
        """Return which messages this sender's clientMsgId stands for, MOST_NAMED at most.

        One message is usual. There are several where one clientMsgId was sent with several bodies.
        """
        cached = await self._bounded(self._backends.cached.recorded_ids([send]))
        stored = await self._bounded(self._backends.stored.records_named(send, limit=MOST_NAMED))
        ids = {*(cached or {}).values(), *(record.message_id for record in stored or ())}
        answers = {Place.CACHE: cached, Place.STORE: stored}
        away = tuple(place for place, answer in answers.items() if answer is None)
        return Named(tuple(sorted(ids)), away)

    async def trace(self, message_id: int) -> Trace:
        """Return everything that the places know of a message.

        Order: database, Redis, log, because the first two know the conversation, and so the
        partition to search.
        """
        rows, stored = await self._bounded(self._stored(message_id)) or (_Rows(), None)
        detail, cached = await self._bounded(self._cached(message_id, rows.own)) or (None, None)
        known = detail or rows.found
        event, logged = await self._logged(message_id, known)
        known = known or event
        if stored is not None and rows.found is None and known is not None:
            stored = replace(stored, record_of=await self._repeated(known))
        fate = fate_of(
            message_id,
            found=rows.found,
            letters=stored.letters if stored else (),
            is_pending=cached is not None and None not in (cached.pending_since_ms, cached.detail),
            in_tail=logged is not None and logged.in_tail,
            repeats=stored is not None and stored.record_of is not None,
        )
        conversation_id = known.conversation_id if known else None
        return Trace(
            message_id=message_id,
            conversation_id=conversation_id,
            partition=self._partition_of(conversation_id),
            cached=cached,
            logged=logged,
            stored=stored,
            fate=fate,
            is_certain=stored is not None
            and (
                rows.found is not None
                or fate in BY_THE_STORE
                or (cached is not None and logged is not None and logged.is_whole)
            ),
        )

    def _partition_of(self, conversation_id: str | None) -> int | None:
        if conversation_id is None:
            return None
        return self._backends.log.partition_of(conversation_id)

    async def _bounded(self, asking: Awaitable[Answer]) -> Answer | None:
        """Return the answer of a place, or None where the place is away."""
        try:
            async with asyncio.timeout(self._timeout_s):
                return await asking
        except (BackendError, TimeoutError):
            return None

    async def _stored(self, message_id: int) -> tuple[_Rows, Stored]:
        inspector = self._backends.stored
        mentions = await inspector.mentions(message_id)
        letters = (await inspector.letters([message_id])).get(message_id, frozenset())
        ids = [message_id] if mentions.owner is None else [message_id, mentions.owner]
        rows = {row.message.id: row for row in await inspector.rows(ids)}
        own, owner = rows.get(message_id), rows.get(mentions.owner or 0)
        stored = Stored(
            row=_row(own) if own else None,
            alias_of=mentions.owner,
            deletes=mentions.deletes,
            hints=mentions.hints,
            letters=letters,
        )
        found = own or owner
        return _Rows(own.message if own else None, found.message if found else None), stored

    async def _cached(self, message_id: int, row: Message | None) -> tuple[Message | None, Cached]:
        cache, inspector, ids = self._backends.cache, self._backends.cached, [message_id]
        detail = (await cache.get(ids)).get(message_id)
        mark = (await cache.recall_marks(ids)).get(message_id)
        known = detail or row
        recall_ms = detail.recall_time if detail else None
        cached = Cached(
            detail=detail.persist_status if detail else None,
            recall_ms=mark.time if recall_ms is None and mark else recall_ms,
            has_recall_mark=mark is not None,
            pending_since_ms=(await inspector.pending_among(ids)).get(message_id),
            attempts=(await cache.attempts(ids))[message_id],
            is_listed=None if known is None else not await inspector.unlisted([known]),
            alias_of=await cache.find_alias(message_id),
        )
        if known is None or known.key is None:
            return detail, cached
        recorded = await inspector.recorded_ids([known.key])
        return detail, replace(cached, record_of=recorded.get(known.key))

    async def _logged(
        self, message_id: int, known: Message | None
    ) -> tuple[Message | None, Logged | None]:
        conversation_id = known.conversation_id if known else None
        search = LogSearch(self._backends.log, message_id, conversation_id=conversation_id)
        await self._bounded(search.run())
        return search.message, search.logged

    async def _repeated(self, known: Message) -> int | None:
        """Return the id of the stored message that this send repeats, where there is no alias."""
        if known.key is None:
            return None
        named = self._backends.stored.records_named(known.key, limit=MOST_NAMED)
        for record in await self._bounded(named) or ():
            if repeats_record(known.id, known.body_hash, record):
                return record.message_id
        return None


@dataclass(frozen=True, slots=True)
class _Rows:
    """Hold a message's own row, and the row that its id leads to."""

    own: Message | None = None
    found: Message | None = None


def _row(stored: StoredRow) -> Row:
    return Row(
        stored.message.seq,
        stored.message.recall_time,
        PersistStatus(stored.persist_status),
        stored.key.message_id if stored.key else None,
    )
