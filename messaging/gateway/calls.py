"""Define the calls that the gateway answers.

Each call parses, runs one use case and represents the result.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Any

from messaging.domain.conversation_requests import parse_list, parse_receipts
from messaging.domain.ids import wall_clock_ms
from messaging.domain.requests import (
    parse_history,
    parse_message_id,
    parse_message_reference,
)
from messaging.domain.sync_requests import parse_sync
from messaging.http.conversation_representation import present_conversations, present_marked
from messaging.http.parsing import decode_object
from messaging.http.representation import Json, present_message, present_page, present_receipt
from messaging.http.send_body import read_send
from messaging.http.sync_representation import present_sync
from messaging.limits import MAX_SYNC_BODY_BYTES
from messaging.service.backends import Backends
from messaging.service.conversations import list_conversations
from messaging.service.delete import delete
from messaging.service.fetch import fetch
from messaging.service.history import history
from messaging.service.marks import mark
from messaging.service.recall import recall
from messaging.service.send import send
from messaging.service.sync import sync


@dataclass(slots=True)
class Asked:
    """Hold one request: its call, and the data that the call needs."""

    call: Call
    headers: Mapping[bytes, bytes]
    path: str
    path_id: str
    query_string: str
    scope: Mapping[str, Any]
    body: bytes | None = None  # None until the body has arrived
    user_id: int = 0

    @property
    def query(self) -> dict[str, str]:
        """Return the fields of a plain query; of a repeated field the last value counts."""
        pairs = (pair.partition("=") for pair in self.query_string.split("&") if pair)
        return {name: value for name, _, value in pairs}


Call = Callable[[Backends, Asked], Awaitable[Json]]


async def send_message(backends: Backends, asked: Asked) -> Json:
    wanted = read_send(asked.body or b"")
    return present_receipt(await send(backends, wanted, sender_id=asked.user_id))


async def recall_message(backends: Backends, asked: Asked) -> Json:
    message_id = parse_message_reference(decode_object(asked.body or b""))
    tombstone = await recall(backends, message_id, user_id=asked.user_id)
    return {"messageId": str(message_id), "recallTime": tombstone.recall_time}


async def delete_named_message(backends: Backends, asked: Asked) -> Json:
    return await _delete(
        backends, parse_message_reference(decode_object(asked.body or b"")), user_id=asked.user_id
    )


async def delete_message(backends: Backends, asked: Asked) -> Json:
    return await _delete(backends, parse_message_id(asked.path_id), user_id=asked.user_id)


async def get_history(backends: Backends, asked: Asked) -> Json:
    page = await history(backends, parse_history(asked.query), reader_id=asked.user_id)
    return present_page(page, viewer_id=asked.user_id)


async def get_message(backends: Backends, asked: Asked) -> Json:
    message_id = parse_message_id(asked.path_id)
    message = await fetch(backends, message_id, reader_id=asked.user_id)
    return present_message(message, viewer_id=asked.user_id)


async def get_conversations(backends: Backends, asked: Asked) -> Json:
    page = await list_conversations(backends, parse_list(asked.query), reader_id=asked.user_id)
    return present_conversations(page, viewer_id=asked.user_id, now_ms=wall_clock_ms())


async def mark_conversations(backends: Backends, asked: Asked) -> Json:
    marks = parse_receipts(decode_object(asked.body or b""), user_id=asked.user_id)
    return present_marked(await mark(backends, marks, user_id=asked.user_id))


async def sync_client(backends: Backends, asked: Asked) -> Json:
    body = decode_object(asked.body or b"", most=MAX_SYNC_BODY_BYTES)
    wanted = parse_sync(body, own_id=asked.user_id)
    answer = await sync(backends, wanted, reader_id=asked.user_id)
    return present_sync(answer, viewer_id=asked.user_id, now_ms=wall_clock_ms())


async def _delete(backends: Backends, message_id: int, *, user_id: int) -> Json:
    await delete(backends, message_id, user_id=user_id)
    return {"messageId": str(message_id)}
