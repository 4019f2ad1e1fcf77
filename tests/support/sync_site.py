"""Run a service in memory whose users have clients on sync, and groups that change."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable, Sequence
from typing import Any, TypeVar

from messaging.domain.backend_errors import StoreUnavailable
from messaging.domain.changes import Change
from messaging.domain.conversation_requests import SetRequest
from messaging.domain.ids import conversation_id
from messaging.domain.message import ChatType
from messaging.domain.requests import HistoryRequest
from messaging.domain.sync_requests import parse_span, parse_sync
from messaging.http.representation import present_message
from messaging.http.sync_representation import present_span, present_sync
from messaging.service import conversation_settings, groups
from messaging.service.group_rules import Actor
from messaging.service.history import history
from messaging.service.span import read_span
from messaging.service.sync import sync
from messaging.terminal.model import Json, Model
from tests.simulation.group_directory import GroupRows, ProcessDirectory
from tests.support.memory import ALICE, BOB, MALLORY, Clock, MemoryService

T = TypeVar("T")

USERS = (ALICE, BOB, MALLORY)


class SyncSite:
    """Hold a service in memory with a directory that knows its groups."""

    def __init__(self, *, clock: Clock | None = None, **settings: object) -> None:
        self.service = service = MemoryService(clock=clock or Clock())
        if settings:
            self.service = service = service.restarted_with(**settings)
        self.directory = self.open_directory()
        service.cache.clock_s = lambda: service.clock.now_ms / 1000
        self.backends = dataclasses.replace(
            service.backends, directory=self.directory, publish=self._publish
        )

    def open_directory(self) -> ProcessDirectory:
        """Return what one more process of the site knows of groups: nothing yet."""
        service = self.service
        rows = GroupRows(service.groups)

        async def ask(job: Callable[[Any], T]) -> T:
            if service.store.down:
                raise StoreUnavailable
            return await rows.run(job)

        return ProcessDirectory(USERS, ask, monotonic_s=lambda: service.clock.now_ms / 1000)

    async def _publish(self, changes: Sequence[Change]) -> None:
        self.directory.take(changes)

    def tick(self, ms: int = 1) -> None:
        self.service.clock.now_ms += ms

    async def sync(self, user_id: int, **body: object) -> dict[str, Any]:
        """Return the answer to a call of sync as its client decodes it."""
        request = parse_sync(body, own_id=user_id)
        answer = await sync(self.backends, request, reader_id=user_id)
        shown = present_sync(answer, viewer_id=user_id, now_ms=self.service.clock.now_ms)
        return dict(json.loads(json.dumps(shown)))

    async def span(self, user_id: int, conversation: str, **query: object) -> dict[str, Any]:
        asked = parse_span({"conversationId": conversation} | {k: str(v) for k, v in query.items()})
        page = await read_span(self.backends, asked, reader_id=user_id)
        return dict(json.loads(json.dumps(present_span(page, viewer_id=user_id))))

    async def catch_up(self, user_id: int, model: Model, **body: object) -> None:
        """Let a client call sync until it has everything, and fill its gaps."""
        while True:
            answer = await self.sync(user_id, cursor=model.cursor, **body)
            model.apply(answer)
            if not answer["hasMore"]:
                break
        while model.gaps:
            name, (first, last) = model.gaps[0]
            page = await self.span(user_id, name, fromSeq=first, toSeq=last, size=7)
            model.conversations[name].fill(page)

    async def whole_history(self, user_id: int, chat_type: ChatType, target: int) -> list[Json]:
        """Return all messages that a user may see now, the oldest first."""
        messages: list[Json] = []
        before = None
        while True:
            request = HistoryRequest(
                chat_type=chat_type, target_id=target, size=100, page=None, before_id=before
            )
            page = await history(self.backends, request, reader_id=user_id)
            messages += [present_message(m, viewer_id=user_id) for m in page.messages]
            if not page.has_more:
                return messages[::-1]
            before = page.next_before_id

    async def create_group(self, *users: int, **fields: object) -> int:
        """Create a group of these users, the first of whom is the owner."""
        judged = await groups.create_group(
            self.backends,
            {"name": "group", **fields},
            actor=Actor(user_id=users[0]),
            user_ids=users[1:],
        )
        return judged.changed.group.id

    async def clear(self, user_id: int, conversation: str) -> None:
        await conversation_settings.clear(self.backends, conversation, user_id=user_id)

    async def pin(self, user_id: int, conversation: str, *, pinned: bool) -> None:
        wanted = SetRequest(conversation_id=conversation, pinned=pinned)
        await conversation_settings.set_state(self.backends, wanted, user_id=user_id)


def chat(one: int, other: int) -> str:
    return conversation_id(chat_type=ChatType.PRIVATE, user_id=one, target_id=other)
