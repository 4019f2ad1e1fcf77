"""Read the messages of a conversation by their `seq`, oldest first: so a gap of sync is filled."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from messaging.domain.backend_errors import StoreUnavailable
from messaging.domain.conversations import Participant
from messaging.domain.errors import (
    ConversationNotFound,
    GroupNotFound,
    NotAMember,
    TemporarilyUnavailable,
)
from messaging.domain.ids import group_of
from messaging.domain.message import Message
from messaging.domain.sync_requests import SpanRequest
from messaging.limits import MAX_PAGE_BYTES, READ_BYTES
from messaging.ports.conversations import Span
from messaging.service.access import read_as_member
from messaging.service.backends import Backends
from messaging.service.listing import find_entry
from messaging.service.seeing import see
from messaging.service.sync_telling import Range, count_fitting
from messaging.service.visibility import Reader


@dataclass(frozen=True, slots=True)
class SpanPage:
    """Hold messages of a span in order of `seq`.

    `covers`: the reader was told all that the reader may see of these `seq`s; None: of none.
    `next_from`: where the span goes on; None at its end.
    """

    messages: Sequence[Message] = ()
    covers: Range | None = None
    next_from: int | None = None


async def read_span(backends: Backends, request: SpanRequest, *, reader_id: int) -> SpanPage:
    """Return the first messages of a span, in the size that is asked for and in MAX_PAGE_BYTES.

    Raises: ConversationNotFound; TemporarilyUnavailable while the store is away; TooManyRequests,
    at once, for a user who reads too fast. Every READ_BYTES of a page count as one more read.
    """
    backends.rates.reads.spend(reader_id)
    async with backends.rates.pages.turn(reader_id):
        entry = await find_entry(backends, reader_id, request.conversation_id)
        low = max(request.first - 1, entry.participant.floor_seq)
        rows = await _rows(backends, request, above=low)
        deleted = await _deleted(backends, rows, reader_id)
        shown = await _seen(backends, entry.participant, rows)
    more = rows[request.size :]
    wanted = [row.id for row in rows[: request.size] if row.id not in deleted]
    messages = [shown[message_id] for message_id in wanted if message_id in shown]
    count, taken = count_fitting(messages, MAX_PAGE_BYTES)
    backends.rates.reads.charge(reader_id, taken // READ_BYTES)
    if not rows:
        return SpanPage()
    next_from = messages[count].seq if count < len(messages) else more[0].seq if more else None
    high = (rows[-1].seq or 0) if next_from is None else next_from - 1
    return SpanPage(messages[:count], (low + 1, high), next_from)


async def _rows(backends: Backends, request: SpanRequest, *, above: int) -> Sequence[Message]:
    """Return one row more than are asked for, if there are more.

    The store is asked past the last number that the cache knows: a client may know more.

    Raises: TemporarilyUnavailable.
    """
    name = request.conversation_id
    if above >= request.last:
        return []
    span = Span(name, above, request.last, limit=request.size + 1, from_oldest=True)
    try:
        return (await backends.conversations.spans([span])).get(name, [])
    except StoreUnavailable as error:
        raise TemporarilyUnavailable from error


async def _deleted(backends: Backends, rows: Sequence[Message], reader_id: int) -> set[int]:
    """Return which of these rows the reader has deleted, by the store.

    The cache may be behind a delete, of which a client with a gap is told nowhere else: the
    client's position may be past the number of the delete from the beginning.

    Raises: TemporarilyUnavailable.
    """
    try:
        return await backends.store.deleted_among(reader_id, [row.id for row in rows])
    except StoreUnavailable as error:
        raise TemporarilyUnavailable from error


async def _seen(
    backends: Backends, participant: Participant, rows: Sequence[Message]
) -> dict[int, Message]:
    """Return by id the rows that the reader may see.

    Raises: ConversationNotFound for a reader who is out of the group by now.
    """
    name, reader_id = participant.conversation_id, participant.user_id

    async def seen(reader: Reader) -> dict[int, Message]:
        return await see(backends, reader.told_of(participant), name, rows)

    group_id = group_of(name)
    if group_id is None:
        return await seen(Reader(reader_id))
    try:
        return await read_as_member(
            backends,
            seen,
            group_id=group_id,
            user_id=reader_id,
            is_listed=True,
        )
    except (GroupNotFound, NotAMember) as error:
        raise ConversationNotFound from error
