"""Ask each call that shows messages for all that it shows a user, and compare with fetch by id.

A call is asked as its door asks it: the use case, then the representation.
"""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from dataclasses import dataclass, field

from messaging.domain.conversation_requests import parse_list, parse_partner, parse_readers
from messaging.domain.errors import ApiError, MessageNotFound, TemporarilyUnavailable
from messaging.domain.ids import conversation_id
from messaging.domain.message import ChatType
from messaging.domain.requests import parse_history
from messaging.domain.sync_requests import parse_span, parse_sync
from messaging.http.conversation_representation import present_conversation, present_conversations
from messaging.http.representation import Json, present_message, present_page
from messaging.http.sync_representation import present_span, present_sync
from messaging.service.backends import Backends
from messaging.service.conversations import list_conversations, view_conversation
from messaging.service.fetch import fetch
from messaging.service.history import history
from messaging.service.readers import list_readers
from messaging.service.span import read_span
from messaging.service.sync import sync

MOST_CALLS = 300
Target = tuple[ChatType, int]


@dataclass(slots=True)
class Look:
    """Look at all that one user is shown through one process.

    `targets`: whom or which group the user may ask for. `cursor`: of an earlier sync. `unknown`:
    the messages that were shown while nobody could fetch them, with their views.
    """

    backends: Backends
    user_id: int
    targets: Sequence[Target]
    cursor: str | None = None
    unknown: list[tuple[str, Json]] = field(default_factory=list)
    compared: int = 0

    async def compare(self, message_ids: Sequence[int]) -> None:
        """Check that each message in any view is what fetch by its id gives this user now.

        `message_ids`: all that there are. A user who cannot fetch a message is told no
        readers of it.
        """
        for view, call in VIEWS.items():
            try:
                async for answer in call(self):
                    for shown in messages_in(json.loads(json.dumps(answer))):
                        await self._check(view, shown)
            except ApiError:  # a view that is refused shows nothing more
                continue
        for message_id in message_ids:
            if await self.fetched(message_id) is None:
                await self._check_readers(message_id)

    async def check_unknown(self) -> None:
        """Check what could not be fetched then; nothing else has happened meanwhile."""
        unknown, self.unknown = self.unknown, []
        for view, shown in unknown:
            await self._check(view, shown)
        assert self.unknown == []

    async def fetched(self, message_id: int) -> Json | None:
        """Return the message as fetch shows it; None where fetch knows of none.

        Raises: TemporarilyUnavailable.
        """
        try:
            message = await fetch(self.backends, message_id, reader_id=self.user_id)
        except MessageNotFound:
            return None
        return dict(json.loads(json.dumps(present_message(message, viewer_id=self.user_id))))

    async def _check(self, view: str, shown: Json) -> None:
        try:
            fetched = await self.fetched(int(str(shown["messageId"])))
        except TemporarilyUnavailable:
            self.unknown.append((view, shown))
            return
        self.compared += 1
        assert shown == fetched, f"{view} to user {self.user_id}"

    async def _check_readers(self, message_id: int) -> None:
        wanted = parse_readers({"messageId": str(message_id)})
        try:
            await list_readers(self.backends, wanted, reader_id=self.user_id)
        except MessageNotFound:
            return
        raise AssertionError(f"readers of {message_id} to user {self.user_id}")

    # Each view yields its answers one after the other, as a client goes through them.

    async def _history(self) -> AsyncIterator[Json]:
        for kind, target in self.targets:
            query = {"chatType": str(int(kind)), "targetId": str(target), "size": "3"}
            before = None
            for _ in range(MOST_CALLS):
                asked = query if before is None else query | {"beforeId": before}
                answer = await self._page(asked)
                yield answer
                if not (before := answer["nextBeforeId"]):
                    break

    async def _history_by_number(self) -> AsyncIterator[Json]:
        for kind, target in self.targets:
            query = {"chatType": str(int(kind)), "targetId": str(target), "size": "5"}
            for number in range(1, MOST_CALLS):
                answer = await self._page(query | {"page": str(number)})
                yield answer
                if not answer["hasMore"]:
                    break

    async def _page(self, query: dict[str, str]) -> dict[str, str]:
        """Return a page; one that is refused has nothing, and the next target is asked for."""
        try:
            page = await history(self.backends, parse_history(query), reader_id=self.user_id)
        except ApiError:
            return {"nextBeforeId": "", "hasMore": ""}
        return present_page(page, viewer_id=self.user_id)  # type: ignore[return-value]

    async def _span(self) -> AsyncIterator[Json]:
        for kind, target in self.targets:
            name = conversation_id(chat_type=kind, user_id=self.user_id, target_id=target)
            first: int | None = 1
            while first is not None:
                query = {"conversationId": name, "fromSeq": str(first), "toSeq": "1000000"}
                asked = parse_span(query | {"size": "4"})
                try:
                    page = await read_span(self.backends, asked, reader_id=self.user_id)
                except ApiError:
                    break
                yield present_span(page, viewer_id=self.user_id)
                first = page.next_from

    async def _list(self) -> AsyncIterator[Json]:
        query: dict[str, str] = {"size": "2", "includeHidden": "true"}
        for _ in range(MOST_CALLS):
            page = await list_conversations(
                self.backends, parse_list(query), reader_id=self.user_id
            )
            answer = present_conversations(
                page, viewer_id=self.user_id, now_ms=self.backends.clock_ms()
            )
            yield answer
            if not answer["hasMore"]:
                break
            query["after"] = str(answer["nextAfter"])

    async def _conversation(self) -> AsyncIterator[Json]:
        for kind, target in self.targets:
            asked = parse_partner({"chatType": str(int(kind)), "targetId": str(target)})
            try:
                view, _ = await view_conversation(self.backends, asked, reader_id=self.user_id)
            except ApiError:
                continue
            yield present_conversation(
                view, viewer_id=self.user_id, now_ms=self.backends.clock_ms()
            )

    async def _sync_newest(self) -> AsyncIterator[Json]:
        async for answer in self._synced("newest", None):
            yield answer

    async def _sync_oldest(self) -> AsyncIterator[Json]:
        async for answer in self._synced("oldest", None):
            yield answer

    async def _sync_on(self) -> AsyncIterator[Json]:
        async for answer in self._synced("newest", self.cursor):
            yield answer

    async def _synced(self, order: str, cursor: str | None) -> AsyncIterator[Json]:
        for _ in range(MOST_CALLS):
            body = {"cursor": cursor, "limit": 3, "order": order}
            wanted = parse_sync(body, own_id=self.user_id)
            told = await sync(self.backends, wanted, reader_id=self.user_id)
            answer = present_sync(told, viewer_id=self.user_id, now_ms=self.backends.clock_ms())
            yield answer
            if not answer["hasMore"]:
                break
            cursor = str(answer["cursor"])

    async def sync_cursor(self) -> str:
        """Return the cursor of a client that has everything now."""
        last: Json = {}
        async for answer in self._synced("newest", None):
            last = answer
        return str(last["cursor"])


View = Callable[[Look], AsyncIterator[Json]]
VIEWS: dict[str, View] = {
    "history by cursor": Look._history,
    "history by number": Look._history_by_number,
    "span": Look._span,
    "list": Look._list,
    "conversation": Look._conversation,
    "sync, newest first": Look._sync_newest,
    "sync, oldest first": Look._sync_oldest,
    "sync by an old cursor": Look._sync_on,
}
# The routes below `/api/` that `Look` asks. `message/<id>` is what the others are compared with.
ASKED = {
    "message/history",
    "message/readers",
    "message/<str:message_id>",
    "conversation",
    "conversation/list",
    "conversation/messages",
    "sync",
}


def messages_in(answer: object) -> Iterator[Json]:
    """Yield each message that an answer shows, wherever it is."""
    if isinstance(answer, dict):
        if "messageId" in answer:
            yield answer
        answer = list(answer.values())
    if isinstance(answer, list):
        for each in answer:
            yield from messages_in(each)
