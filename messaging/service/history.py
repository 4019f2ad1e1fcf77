"""Read a conversation's history, newest first, as one reader may see it."""

from __future__ import annotations

from dataclasses import dataclass

from messaging.events import ChatType, Message
from messaging.ids import conversation_id
from messaging.requests import HistoryRequest
from messaging.service.access import check_member
from messaging.service.backends import Backends
from messaging.service.slices import SliceReader

LARGEST_SLICE = 200


@dataclass(frozen=True, slots=True, kw_only=True)
class HistoryPage:
    """One page. `partial`: a part was away, and newer or older messages may be missing."""

    messages: tuple[Message, ...]
    total: int
    has_more: bool
    next_before_id: int | None
    partial: bool


async def history(backends: Backends, request: HistoryRequest, *, reader_id: int) -> HistoryPage:
    """The page that was asked for; `has_more` and `total` are exact unless it is partial.

    Raises GroupNotFound, NotAMember, and TemporarilyUnavailable when what is asked for is not
    cached and the store is away. Raises TooManyRequests at once for one who reads too fast.
    """
    backends.rates.reads.spend(reader_id)
    if request.chat_type is ChatType.GROUP:
        await check_member(backends, group_id=request.target_id, user_id=reader_id)
    conversation = conversation_id(
        chat_type=request.chat_type, user_id=reader_id, target_id=request.target_id
    )
    walk = _Walk(SliceReader(backends, conversation, reader_id), before=request.before_id)
    await walk.take(((request.page or 1) - 1) * request.size)
    messages = await walk.take(request.size)
    has_more = await walk.has_more()
    return HistoryPage(
        messages=tuple(messages),
        total=walk.total,
        has_more=has_more,
        next_before_id=messages[-1].id if has_more and messages else None,
        partial=walk.partial,
    )


class _Walk:
    """Walks down a conversation slice by slice, past what the reader has deleted."""

    def __init__(self, reader: SliceReader, *, before: int | None) -> None:
        self._reader = reader
        self._before = before
        self._ready: list[Message] = []
        self._size = 0
        self._exhausted = False
        self._started = False
        self.partial = False
        self.total = 0

    async def take(self, count: int) -> list[Message]:
        """The next `count` visible messages, fewer at the end."""
        taken: list[Message] = []
        while len(taken) < count:
            wanted = count - len(taken)
            if not self._ready:
                if self._exhausted:
                    break
                await self._read(wanted + 1)  # one more tells whether there is more
            taken += self._ready[:wanted]
            del self._ready[:wanted]
        return taken

    async def has_more(self) -> bool:
        while not self._ready and not self._exhausted:
            await self._read(1)
        return bool(self._ready)

    async def _read(self, wanted: int) -> None:
        # Twice as many each time, for the reader may have deleted very many in a row.
        self._size = min(max(wanted, 2 * self._size), LARGEST_SLICE)
        part = await self._reader.read(before=self._before, limit=self._size)
        if not self._started:
            self.total, self._started = part.total, True
        self.partial |= part.partial
        self._before = part.next_before
        self._exhausted = part.next_before is None
        self._ready += part.messages
