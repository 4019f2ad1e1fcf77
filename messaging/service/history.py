"""Read a conversation's history, newest first, as one reader may see it."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass

from msgspec.json import encode

from messaging.conf import MAX_PAGE_SIZE
from messaging.domain.backend_errors import CacheUnavailable, StoreUnavailable
from messaging.domain.errors import TemporarilyUnavailable
from messaging.domain.ids import conversation_id
from messaging.domain.message import ChatType, Message
from messaging.domain.requests import HistoryRequest
from messaging.limits import MAX_PAGE_BYTES, READ_BYTES
from messaging.metrics import catalogue
from messaging.ports.cached import CachedTail
from messaging.service.access import read_as_member
from messaging.service.backends import Backends
from messaging.service.history_pages import PageReader
from messaging.service.visibility import Reader

LARGEST_PART = MAX_PAGE_SIZE + 1  # messages; 1.6 MB if all are of the largest size
MOST_PASSED = 1_000  # listed ids at a time
FIELDS_BYTES = 500  # of a message in an answer, without its texts


@dataclass(frozen=True, slots=True, kw_only=True)
class HistoryPage:
    """Hold one page of a history, newest first.

    `partial`: a backend was away or recovering, and newer or older messages may be missing.
    """

    messages: tuple[Message, ...]
    total: int
    has_more: bool
    next_before_id: int | None
    partial: bool


async def history(backends: Backends, request: HistoryRequest, *, reader_id: int) -> HistoryPage:
    """Return the requested page; `has_more` and `total` are exact unless the page is partial.

    The page ends early, with `has_more`, where its messages reach MAX_PAGE_BYTES: go on by the
    cursor. Only a few pages of one reader are read at the same time; further requests wait.

    Raises: GroupNotFound; NotAMember; TemporarilyUnavailable when the page is not cached and the
    store is away; TooManyRequests, at once, for a reader who reads too fast. Every READ_BYTES of a
    page count as one more read.
    """
    backends.rates.reads.spend(reader_id)
    async with backends.rates.pages.turn(reader_id):
        page, taken_bytes = await _read_page(backends, request, reader_id)
    backends.rates.reads.charge(reader_id, taken_bytes // READ_BYTES)
    return page


async def _read_page(
    backends: Backends, request: HistoryRequest, reader_id: int
) -> tuple[HistoryPage, int]:
    """Return the page, and about how many bytes its messages take in an answer."""
    if request.chat_type is ChatType.PRIVATE:
        return await _walk(backends, request, Reader(reader_id))
    return await read_as_member(
        backends,
        lambda reader: _walk(backends, request, reader),
        group_id=request.target_id,
        user_id=reader_id,
    )


async def _walk(
    backends: Backends, request: HistoryRequest, reader: Reader
) -> tuple[HistoryPage, int]:
    conversation = conversation_id(
        chat_type=request.chat_type, user_id=reader.user_id, target_id=request.target_id
    )
    pages = PageReader(backends, conversation, reader)
    walk = Walk(backends, pages, before=request.before_id)
    await walk.skip(((request.page or 1) - 1) * request.size)
    messages = await walk.take(request.size)
    has_more = await walk.has_more()
    await pages.confirm()
    catalogue.pages.add("store" if pages.asked_store else "cache", "yes" if walk.partial else "no")
    page = HistoryPage(
        messages=tuple(messages),
        total=walk.total,
        has_more=has_more,
        next_before_id=messages[-1].id if has_more and messages else None,
        partial=walk.partial,
    )
    return page, walk.taken_bytes


class Walk:
    """Walk down a conversation, past the messages that the reader has deleted.

    Returned messages are read part by part. Skipped messages are passed by their ids alone.
    """

    def __init__(self, backends: Backends, reader: PageReader, *, before: int | None) -> None:
        self._backends = backends
        self._reader = reader
        self._before = before
        self._ready: deque[Message] = deque()
        self._size = 0
        self._exhausted = False
        self._started = False
        self.partial = False
        self.total = 0
        self.taken_bytes = 0

    async def skip(self, count: int) -> None:
        """Pass the next `count` visible messages."""
        if count:
            await self._read(1)  # sets `total` and `partial`
        while count and not self._is_at_end:
            if self._ready:
                self._ready.popleft()
                count -= 1
            else:
                count -= await self._pass(count)

    async def take(self, count: int) -> list[Message]:
        """Return the next `count` visible messages; fewer at the end or past MAX_PAGE_BYTES."""
        taken: list[Message] = []
        while len(taken) < count and not self._is_at_end:
            if not self._ready:
                await self._read_on(count - len(taken) + 1)  # one more, for `has_more`
                continue
            more_bytes = size_bytes(self._ready[0])
            if taken and self.taken_bytes + more_bytes > MAX_PAGE_BYTES:
                break
            self.taken_bytes += more_bytes
            taken.append(self._ready.popleft())
        return taken

    async def has_more(self) -> bool:
        while not self._ready and not self._exhausted:
            await self._read_on(1)
        return bool(self._ready)

    @property
    def _is_at_end(self) -> bool:
        return self._exhausted and not self._ready

    async def _read_on(self, wanted: int) -> None:
        """Read the next part; if the reader has deleted all of it, go to the next visible message.

        Otherwise thousands of texts might be read to show none of them.
        """
        await self._read(wanted)
        if self._ready or self._exhausted or not await self._pass(1):
            return
        if self._before is not None:
            self._before += 1

    async def _read(self, wanted: int) -> None:
        # The size doubles each time, because the reader may have deleted very many in a row.
        self._size = min(max(wanted, 2 * self._size), LARGEST_PART)
        part = await self._reader.read(before=self._before, limit=self._size)
        if not self._started:
            self.total, self._started = part.total, True
        self.partial |= part.partial
        self._before = part.next_before
        self._exhausted = part.next_before is None
        self._ready += part.messages

    async def _pass(self, count: int) -> int:
        """Pass at most `count` visible messages below `_before`; return how many were passed.

        Return 0 after a part was read instead, or when only deleted messages were passed.
        """
        assert self._before is not None
        listed = await self._listed(min(count, MOST_PASSED))
        self.partial |= listed is None or listed.recovering
        if listed is None or (not listed.missing and listed.end is None):
            if listed is not None and listed.floor == 0:
                self._exhausted = True  # the list covers the conversation
                return 0
            return await self._pass_rows(count)
        if not listed.missing:
            self._before = listed.end
            return 0
        if listed.floor is None or listed.missing[-1] <= listed.floor:
            await self._read(LARGEST_PART)  # the list may have gaps here; a part has none
            return 0
        return await self._pass_listed(listed, count)

    async def _pass_listed(self, listed: CachedTail, count: int) -> int:
        """Pass listed messages by their ids; return how many of them are visible.

        Requires that every message down to the last of these ids is listed.
        """
        deleted = await self._reader.find_hidden(listed.missing, listed.deletes_floor)
        reader = self._reader.reader
        visible = [i for i in listed.missing if reader.may_see(i, deleted)][:count]
        self._before = visible[-1] if len(visible) == count else listed.missing[-1]
        return len(visible)

    async def _pass_rows(self, count: int) -> int:
        """Pass visible rows by their ids; return `count`.

        Used where no message below `_before` is listed, so that all of them are rows.

        Raises: TemporarilyUnavailable.
        """
        assert self._before is not None
        reader = self._reader.reader
        try:
            last = await self._backends.store.nth_visible(
                self._reader.conversation,
                reader_id=reader.user_id,
                before=self._before,
                count=count,
                above=reader.floor_id,
            )
        except StoreUnavailable as error:
            raise TemporarilyUnavailable from error
        self._before, self._exhausted = last, last is None
        return count

    async def _listed(self, limit: int) -> CachedTail | None:
        reader = self._reader.reader
        try:
            listed = await self._backends.cache.listed(
                self._reader.conversation,
                reader_id=reader.user_id,
                before=self._before,
                limit=limit,
            )
        except CacheUnavailable:
            return None
        self._reader.reader = reader.above(listed.cleared)
        return listed


def size_bytes(message: Message) -> int:
    """Return about how many bytes the message takes in an answer, its texts escaped as JSON."""
    return FIELDS_BYTES + len(encode((message.content, message.url, message.at_user_ids)))
