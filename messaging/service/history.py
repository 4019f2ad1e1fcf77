"""Read a conversation's history, newest first, as one reader may see it."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass

from msgspec.json import encode

from messaging.conf import MAX_PAGE_SIZE
from messaging.domain.errors import CacheUnavailable, StoreUnavailable, TemporarilyUnavailable
from messaging.domain.events import ChatType, Message
from messaging.domain.ids import conversation_id
from messaging.domain.requests import HistoryRequest
from messaging.limits import MAX_PAGE_BYTES, READ_BYTES
from messaging.ports.cached import Window
from messaging.service.access import check_member
from messaging.service.backends import Backends
from messaging.service.deletes import find_deleted
from messaging.service.slices import SliceReader

LARGEST_SLICE = MAX_PAGE_SIZE + 1  # messages; of the largest kind 1.6 MB
MOST_PASSED = 1_000  # listed ids at a time
FIELDS_BYTES = 500  # of a message in an answer, without its texts


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

    It ends early, with `has_more`, where its messages reach MAX_PAGE_BYTES: go on by the cursor.

    Raises GroupNotFound, NotAMember, and TemporarilyUnavailable when what is asked for is not
    cached and the store is away. Raises TooManyRequests at once for one who reads too fast: every
    READ_BYTES of a page count as one more read. A reader has few pages under way; more wait.
    """
    backends.rates.reads.spend(reader_id)
    async with backends.rates.pages.turn(reader_id):
        page = await _read_page(backends, request, reader_id)
    cost = sum(map(_size_bytes, page.messages)) // READ_BYTES
    backends.rates.reads.charge(reader_id, cost)
    return page


async def _read_page(backends: Backends, request: HistoryRequest, reader_id: int) -> HistoryPage:
    if request.chat_type is ChatType.GROUP:
        await check_member(backends, group_id=request.target_id, user_id=reader_id)
    conversation = conversation_id(
        chat_type=request.chat_type, user_id=reader_id, target_id=request.target_id
    )
    walk = _Walk(backends, SliceReader(backends, conversation, reader_id), before=request.before_id)
    await walk.skip(((request.page or 1) - 1) * request.size)
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
    """Walks down a conversation, past what the reader has deleted.

    Messages are read slice by slice. What is skipped is passed by its ids.
    """

    def __init__(self, backends: Backends, reader: SliceReader, *, before: int | None) -> None:
        self._backends = backends
        self._reader = reader
        self._before = before
        self._ready: deque[Message] = deque()
        self._size = 0
        self._exhausted = False
        self._started = False
        self.partial = False
        self.total = 0

    async def skip(self, count: int) -> None:
        """Pass the next `count` visible messages."""
        if count:
            await self._read(1)  # the total, and whether a part is away
        while count and not self._is_at_end:
            if self._ready:
                self._ready.popleft()
                count -= 1
            else:
                count -= await self._pass(count)

    async def take(self, count: int) -> list[Message]:
        """The next `count` visible messages; fewer at the end, and where they have many bytes."""
        taken: list[Message] = []
        left_bytes = MAX_PAGE_BYTES
        while len(taken) < count and not self._is_at_end:
            if not self._ready:
                await self._read_on(count - len(taken) + 1)  # one more tells whether there is more
                continue
            left_bytes -= _size_bytes(self._ready[0])
            if taken and left_bytes < 0:
                break
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
        """Read the next slice; where the reader has deleted all of it, go to the next visible one.

        So nobody reads thousands of texts to show none of them.
        """
        await self._read(wanted)
        if self._ready or self._exhausted or not await self._pass(1):
            return
        if self._before is not None:
            self._before += 1

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

    async def _pass(self, count: int) -> int:
        """Pass at most `count` visible messages below `_before`; returns how many."""
        assert self._before is not None
        listed = await self._listed(min(count, MOST_PASSED))
        self.partial |= listed is None or listed.recovering
        if listed is None or (not listed.missing and listed.end is None):
            if listed is not None and listed.floor == 0:
                self._exhausted = True  # the list was everything
                return 0
            return await self._pass_rows(count)
        if not listed.missing:
            self._before = listed.end
            return 0
        if listed.floor is None or listed.missing[-1] <= listed.floor:
            await self._read(LARGEST_SLICE)  # what lies among the listed ones only the slices tell
            return 0
        return await self._pass_listed(listed, count)

    async def _pass_listed(self, listed: Window, count: int) -> int:
        """Every message down to the last of these ids is listed."""
        deleted = await find_deleted(
            self._backends,
            listed.missing,
            reader_id=self._reader.reader_id,
            floor=listed.deletes_floor,
        )
        visible = [i for i in listed.missing if i not in deleted][:count]
        self._before = visible[-1] if len(visible) == count else listed.missing[-1]
        return len(visible)

    async def _pass_rows(self, count: int) -> int:
        """Nothing is listed below `_before`, so that rows are all there is."""
        assert self._before is not None
        try:
            last = await self._backends.store.nth_visible(
                self._reader.conversation,
                reader_id=self._reader.reader_id,
                before=self._before,
                count=count,
            )
        except StoreUnavailable as error:
            raise TemporarilyUnavailable from error
        self._before, self._exhausted = last, last is None
        return count

    async def _listed(self, limit: int) -> Window | None:
        try:
            return await self._backends.cache.listed(
                self._reader.conversation,
                reader_id=self._reader.reader_id,
                before=self._before,
                limit=limit,
            )
        except CacheUnavailable:
            return None


def _size_bytes(message: Message) -> int:
    """What the message takes in an answer, about: its texts are counted as they are escaped."""
    return FIELDS_BYTES + len(encode((message.content, message.url, message.at_user_ids)))
