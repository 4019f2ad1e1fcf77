"""Decide which rows and cached states of messages a reader may see, after they were read.

Used by sync and by the reading of spans.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Sequence

from messaging.domain.backend_errors import CacheUnavailable
from messaging.domain.errors import TemporarilyUnavailable
from messaging.domain.message import ID_MAX, Message, join
from messaging.ports.cached import CachedTail, ReaderView
from messaging.service.backends import Backends
from messaging.service.hidden_messages import find_hidden
from messaging.service.history_pages import AWAY
from messaging.service.visibility import Reader


async def see(
    backends: Backends,
    reader: Reader,
    conversation_id: str,
    rows: Iterable[Message],
    tail: CachedTail | None = None,
) -> dict[int, Message]:
    """Return by id the latest states of rows and of listed messages that a reader may see.

    A row may lack a recall that only the cache and the log have, so rows are joined with the cached
    states. The guard is asked after the rows were read.

    Raises: RightsDoubted as `Reader.heed` does; TemporarilyUnavailable.
    """
    states = {} if tail is None else {message.id: message for message in tail.messages}
    view, now = ReaderView(deletes_floor=0), tail
    if stored := {row.id: row for row in rows}:
        view, now = await _latest_view(backends, reader, conversation_id, list(stored))
        for message_id, row in stored.items():
            known = view.messages.get(message_id)
            states[message_id] = row if known is None else join(row, known)
    if now is None:
        return {}
    reader.heed(None if now is AWAY else now.guard)
    floors = [view.deletes_floor, *(() if tail is None else (tail.deletes_floor,))]
    shown = [message_id for message_id in states if message_id not in view.deleted]
    reader, hidden = await find_hidden(
        backends,
        conversation_id,
        shown,
        reader=reader.above(now.cleared),
        deletes_floor=None if None in floors else max(each or 0 for each in floors),
    )
    return {i: states[i] for i in shown if reader.may_see(i, hidden)}


async def _latest_view(
    backends: Backends, reader: Reader, conversation_id: str, ids: Sequence[int]
) -> tuple[ReaderView, CachedTail]:
    """Return the cached states of rows that were read, and the guard as it is now.

    Raises: TemporarilyUnavailable as `check_whole` does.
    """
    cache = backends.cache
    try:
        view, now = await asyncio.gather(
            cache.reader_view(ids, reader_id=reader.user_id),
            cache.listed(conversation_id, reader_id=reader.user_id, before=None, limit=1),
        )
    except CacheUnavailable:
        view, now = ReaderView(deletes_floor=ID_MAX), AWAY
    check_whole(backends, now)
    return view, now


def check_whole(backends: Backends, tail: CachedTail) -> None:
    """Check that the store's rows may be shown beside what the cache answered.

    Raises: TemporarilyUnavailable where the store may lack what was acknowledged.
    """
    if tail.recovering and backends.catch_up.is_behind:
        raise TemporarilyUnavailable
