"""Make the receipt of a send: of a message just accepted, or of the first send that is repeated."""

from __future__ import annotations

import asyncio
import contextlib

import msgspec

from messaging.domain.backend_errors import CacheUnavailable, StoreUnavailable
from messaging.domain.errors import ClientMsgIdReused, SendFailed
from messaging.domain.ids import time_of_id
from messaging.domain.message import Message, PersistStatus
from messaging.pipeline.queued_send import Durability
from messaging.ports.cached import IdempotencyRecord
from messaging.service.backends import Backends

ROW_TIMEOUT_S = 0.3  # for the store to tell whether an earlier send is stored


class Receipt(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """Hold the answer to a send; of a send that repeats another one (`repeats`), to the first."""

    message_id: int
    conversation_id: str
    send_time: int
    persist_status: PersistStatus
    durability: Durability
    client_msg_id: str | None
    repeats: bool = False


def receipt_of(message: Message, durability: Durability) -> Receipt:
    return Receipt(
        message_id=message.id,
        conversation_id=message.conversation_id,
        send_time=message.send_time,
        persist_status=(
            PersistStatus.PERSISTED if durability is Durability.STORE else PersistStatus.PENDING
        ),
        durability=durability,
        client_msg_id=message.client_msg_id,
    )


async def repeat_receipt(backends: Backends, repeat: Message, first: IdempotencyRecord) -> Receipt:
    """Return the first send's receipt for a repeat of it.

    The send time is read from the first send's id. The conversation is the repeat's, because both
    bodies are the same.

    Raises: ClientMsgIdReused when the first send has another body; SendFailed as `stored_id` does.
    """
    if first.body_hash != repeat.body_hash:
        raise ClientMsgIdReused
    stored = await stored_id(backends, first.message_id)
    first_id = first.message_id if stored is None else stored
    return Receipt(
        message_id=first_id,
        conversation_id=repeat.conversation_id,
        send_time=time_of_id(first_id),
        persist_status=PersistStatus.PENDING if stored is None else PersistStatus.PERSISTED,
        durability=Durability.CACHE if stored is None else Durability.STORE,
        client_msg_id=repeat.client_msg_id,
        repeats=True,
    )


async def stored_id(backends: Backends, message_id: int) -> int | None:
    """Return the id of a message's row, or of the row it duplicates; None without a row.

    A row that the cache lacks is shown to the cache first, because the process that stored the row
    may have ended before it could show the row.

    Raises: SendFailed when the row cannot be looked up or shown now. For a message that this
    process is to show the cache anyway, a failed look-up returns None instead.
    """
    cached = None
    with contextlib.suppress(CacheUnavailable):
        cached = (await backends.cache.get([message_id])).get(message_id)
    if cached is not None:
        return message_id if cached.persist_status is PersistStatus.PERSISTED else None
    try:
        async with asyncio.timeout(ROW_TIMEOUT_S):
            row = (await backends.store.find([message_id])).get(message_id)
    except (StoreUnavailable, TimeoutError) as error:
        if backends.hints.owes(message_id):
            return None
        raise SendFailed from error
    if row is None:
        return None
    await show_row(backends, row)
    return row.id


async def show_row(backends: Backends, row: Message) -> None:
    """Show the cache a stored row, or record a hint of the row.

    Raises: SendFailed when neither is possible.
    """
    try:
        await backends.writes.show_row(row)
    except StoreUnavailable as error:
        raise SendFailed from error
