"""Run the use cases and a consumer over real parts, on the loop of this process's runtime.

The scene serves tests that need more than HTTP shows: simultaneous acts, and their order.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import dataclass, replace
from typing import Any

from django.contrib.auth import get_user_model

from messaging.domain.errors import MessageNotFound
from messaging.domain.message import ChatType, Message, MsgType
from messaging.domain.requests import Ack, HistoryRequest, SendRequest
from messaging.pipeline.consumer import Consumer
from messaging.runtime import adapters, wiring
from messaging.service.backends import Backends
from messaging.service.fetch import fetch
from messaging.service.history import HistoryPage, history
from messaging.service.receipts import Receipt
from messaging.service.send import send

PERSIST_TIMEOUT_S = 20.0
PAIRS = 1_000
HOUR_MS = 3_600_000


@dataclass(slots=True)
class Scene:
    """Hold the backends, a consumer, and `pairs` of user ids with no message between them."""

    backends: Backends
    consumer: Consumer
    pairs: Iterator[tuple[int, int]]
    forget: Callable[[], None]

    async def send(
        self,
        sender: int,
        receiver: int,
        content: str = "hello",
        *,
        backends: Backends | None = None,
        client_msg_id: str | None = None,
    ) -> Receipt:
        request = SendRequest(
            chat_type=ChatType.PRIVATE,
            target_id=receiver,
            msg_type=MsgType.TEXT,
            content=content,
            url=None,
            at_user_ids=(),
            client_msg_id=client_msg_id,
            ack=Ack.LOG,
        )
        return await send(backends or self.backends, request, sender_id=sender)

    async def sent(self, sender: int, receiver: int, content: str = "hello", **more: Any) -> int:
        return (await self.send(sender, receiver, content, **more)).message_id

    async def history(
        self, reader: int, other: int, *, backends: Backends | None = None, **changes: Any
    ) -> HistoryPage:
        wanted = {"size": 20, "page": None, "before_id": None} | changes
        request = HistoryRequest(chat_type=ChatType.PRIVATE, target_id=other, **wanted)
        return await history(backends or self.backends, request, reader_id=reader)

    async def listed(self, reader: int, other: int, **changes: Any) -> list[int]:
        return [message.id for message in (await self.history(reader, other, **changes)).messages]

    async def seen(self, message_id: int, reader: int, other: int) -> list[Message]:
        """Return the message as each way of reading shows it to this reader."""
        page = await self.history(reader, other)
        shown = [message for message in page.messages if message.id == message_id]
        try:
            shown.append(await fetch(self.backends, message_id, reader_id=reader))
        except MessageNotFound:
            assert not shown, "history shows what cannot be fetched"
        return shown

    async def persist(self) -> None:
        """Consume the log until nothing is pending."""
        deadline_s = time.monotonic() + PERSIST_TIMEOUT_S
        while await self.consumer.step() or await self.consumer.cache.pending_count():
            assert time.monotonic() < deadline_s, "messages stay pending"

    def an_hour_later(self) -> Backends:
        """Return the same backends under a clock that is an hour ahead."""
        return replace(self.backends, clock_ms=lambda: self.backends.clock_ms() + HOUR_MS)

    async def rows(self, *message_ids: int) -> list[Message]:
        """Return the database's rows of these messages, in order; fail where one is missing."""
        found = await self.backends.store.get(message_ids)
        return [found[message_id] for message_id in message_ids]


def make_pairs() -> Iterator[tuple[int, int]]:
    users = get_user_model().objects
    users.bulk_create([users.model(username=f"user {n}") for n in range(2 * PAIRS)])
    ids = list(users.order_by("id").values_list("id", flat=True))
    return zip(ids[::2], ids[1::2], strict=True)


@contextlib.asynccontextmanager
async def running(
    pairs: Iterator[tuple[int, int]], forget: Callable[[], None]
) -> AsyncIterator[Scene]:
    """Open the scene on the running loop, with adapters as the settings name them."""
    await wiring.start()
    consumer = adapters.open_consumer()
    try:
        backends = await asyncio.to_thread(wiring.run, _hand_over)
        yield Scene(backends, consumer, pairs, forget)
    finally:
        await adapters.close_consumer(consumer)
        await wiring.stop()


async def _hand_over(backends: Backends) -> Backends:
    return backends
