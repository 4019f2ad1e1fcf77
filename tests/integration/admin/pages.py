"""Write rows for the admin's pages, and read a page as a person sees it."""

from __future__ import annotations

import asyncio
import html
import re
from collections.abc import Sequence
from typing import Any

from messaging.domain.message import Message, Recall
from messaging.ports.store import DeadLetter
from messaging.runtime import adapters, wiring

MESSAGES = "/admin/messaging/message/"
PENDING = "/admin/messaging/pendingmessage/"
DEAD_LETTERS = "/admin/messaging/deadletter/"
GROUPS = "/admin/messaging/chatgroup/"
MEMBERS = "/admin/messaging/chatgroupmember/"
AUDIT_RUNS = "/admin/messaging/auditrun/"
BLOCKS = "/admin/messaging/userblock/"
USERS = "/admin/auth/user/"
CONSUME_TIMEOUT_S = 20.0


def store(*messages: Message) -> Sequence[Message]:
    """Store the messages in the database only, and return the rows."""
    return wiring.run(lambda backends: backends.store.apply(messages)).rows


def accept(*messages: Message) -> None:
    """Accept the messages in Redis only."""
    wiring.run(lambda backends: backends.cache.accept(messages, None))


def recall(message: Message) -> None:
    """Recall the message in Redis; the database learns of the recall later, through the log."""

    async def mark(backends: Any) -> None:
        await backends.cache.set_recall_mark(message.id, Recall(message.send_time + 1))
        await backends.cache.confirm_recall(message.recalled(message.send_time + 1))

    wiring.run(mark)


def keep(*letters: DeadLetter) -> None:
    wiring.run(lambda backends: backends.store.save_dead_letters(letters))


def consume() -> None:
    """Run a consumer until the log has no more records."""

    async def run() -> None:
        consumer = adapters.open_consumer()
        try:
            async with asyncio.timeout(CONSUME_TIMEOUT_S):
                while not await consumer.step():
                    pass
                while await consumer.step():
                    pass
        finally:
            await adapters.close_consumer(consumer)

    asyncio.run(run())


def page(response: Any) -> str:
    """Return the markup of a page, and check that the page was found."""
    assert response.status_code == 200, response.content[:500]
    return str(response.content.decode())


def shown(response: Any) -> str:
    """Return the text of a page as a person reads it, line ends as spaces."""
    content = re.sub(r"(?s)<(script|style).*?</\1>", "", page(response))
    return " ".join(html.unescape(re.sub(r"<[^>]*>", " ", content)).split())


def listed(response: Any) -> list[int]:
    """Return the ids of the rows of a list, in order."""
    page(response)
    return [row.pk for row in response.context["cl"].result_list]


def said(response: Any) -> Sequence[str]:
    """Return the notices at the head of a page."""
    return [str(message) for message in response.context["messages"]]
