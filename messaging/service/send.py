"""Send a message: check the sender, give an id, and make the message durable before the answer."""

from __future__ import annotations

import asyncio
import contextlib

from msgspec.structs import replace

from messaging.domain.backend_errors import CacheUnavailable, StoreUnavailable
from messaging.domain.backoff import Backoff
from messaging.domain.errors import (
    Blocked,
    GroupNotFound,
    IdsUnavailable,
    NotAMember,
    SendFailed,
    TemporarilyUnavailable,
    TooManyRequests,
    UserNotFound,
)
from messaging.domain.ids import conversation_id, time_of_id
from messaging.domain.message import ChatType, Message, PersistStatus, hash_body
from messaging.domain.requests import Ack, SendRequest
from messaging.pipeline.queued_send import Durability
from messaging.ports.cached import IdempotencyRecord
from messaging.service.access import check_member
from messaging.service.backends import Backends
from messaging.service.idempotency import find_idempotency_record, find_stored_idempotency_record
from messaging.service.receipts import Receipt, receipt_of, repeat_receipt, show_row, stored_id

FIRST_POLL_EVERY_S = 0.01
LAST_POLL_EVERY_S = 0.2


async def send(backends: Backends, request: SendRequest, *, sender_id: int) -> Receipt:
    """Accept a message, or return the receipt of the earlier send that it repeats.

    A repeat gets its first send's receipt even when the sender may not send to the target any more.

    Raises: UserNotFound, Blocked, GroupNotFound, NotAMember, ClientMsgIdReused, TooManyRequests,
    SendFailed, IdsUnavailable, TemporarilyUnavailable.
    Leaves: after SendFailed the message may still appear: retry with the same clientMsgId, which
    answers with the first id.
    """
    deadline_s = asyncio.get_running_loop().time() + backends.settings.send_timeout_s
    try:
        await _check_target(backends, request, sender_id)
    except (UserNotFound, Blocked, GroupNotFound, NotAMember):
        if (earlier := await _find_earlier(backends, request, sender_id, deadline_s)) is None:
            raise
        return await _waited_for(backends, earlier, request.ack)
    message = _compose(backends, request, sender_id)
    if backends.settings.mode_of(request.chat_type) == "sync":
        try:
            async with asyncio.timeout_at(deadline_s):
                return await _send_sync(backends, message, deadline_s)
        except TimeoutError as error:
            raise SendFailed from error
    return await _send_async(backends, message, request.ack, deadline_s)


async def _send_async(backends: Backends, message: Message, ack: Ack, deadline_s: float) -> Receipt:
    accepted = await backends.acceptor.accept(message, ack=ack, deadline_s=deadline_s)
    if accepted.repeats is not None:
        receipt = await repeat_receipt(backends, message, accepted.repeats)
    else:
        receipt = receipt_of(accepted.message, accepted.durability)
    return await _waited_for(backends, receipt, ack)


async def _waited_for(backends: Backends, receipt: Receipt, ack: Ack) -> Receipt:
    if ack is Ack.STORE and receipt.durability is not Durability.STORE:
        return await _wait_stored(backends, receipt)
    return receipt


async def _find_earlier(
    backends: Backends, request: SendRequest, sender_id: int, deadline_s: float
) -> Receipt | None:
    """Return the receipt of the earlier send that a refused send repeats; None if none is known.

    The refused send counts against the sender's rate.

    Raises: TooManyRequests; SendFailed as for any repeat.
    """
    if request.client_msg_id is None:
        return None
    if wait_s := backends.acceptor.commit.rates.take(sender_id):
        raise TooManyRequests(wait_s)
    message = _compose(backends, request, sender_id)
    try:
        async with asyncio.timeout_at(deadline_s):
            for find in (find_idempotency_record, find_stored_idempotency_record):
                record = await find(backends, message)
                if record is not None and record.body_hash == message.body_hash:
                    return await repeat_receipt(backends, message, record)
    except TimeoutError as error:
        raise SendFailed from error
    return None


async def _check_target(backends: Backends, request: SendRequest, sender_id: int) -> None:
    if request.chat_type is ChatType.GROUP:
        await check_member(backends, group_id=request.target_id, user_id=sender_id)
        return
    directory, receiver_id = backends.directory, request.target_id
    blocked = directory.known_blocked(receiver_id, sender_id)
    if blocked is None:
        backends.rates.lookups.spend(sender_id)
        try:
            blocked = await directory.is_blocked(receiver_id, sender_id)
            if not blocked and not await directory.user_exists(receiver_id):
                raise UserNotFound
        except StoreUnavailable as error:
            raise TemporarilyUnavailable from error
    if blocked:
        raise Blocked


def _compose(backends: Backends, request: SendRequest, sender_id: int) -> Message:
    conversation = conversation_id(
        chat_type=request.chat_type, user_id=sender_id, target_id=request.target_id
    )
    message_id = backends.ids.next_id(conversation)
    return Message(
        id=message_id,
        conversation_id=conversation,
        from_user_id=sender_id,
        to_id=request.target_id,
        chat_type=request.chat_type,
        msg_type=request.msg_type,
        content=request.content,
        url=request.url,
        at_user_ids=request.at_user_ids,
        client_msg_id=request.client_msg_id,
        body_hash=hash_body(
            to_id=request.target_id,
            chat_type=request.chat_type,
            msg_type=request.msg_type,
            content=request.content,
            url=request.url,
            at_user_ids=request.at_user_ids,
        ),
        send_time=time_of_id(message_id),
    )


async def _wait_stored(backends: Backends, receipt: Receipt) -> Receipt:
    """Wait until the message is stored, at most `store_ack_timeout_s`; return its receipt.

    The receipt's durability tells whether the message was stored in that time.
    """
    backoff = Backoff(FIRST_POLL_EVERY_S, LAST_POLL_EVERY_S)
    loop = asyncio.get_running_loop()
    deadline = loop.time() + backends.settings.store_ack_timeout_s
    while loop.time() < deadline:
        await asyncio.sleep(backoff.next_s())
        with contextlib.suppress(SendFailed):  # the message is accepted in any case
            stored = await stored_id(backends, receipt.message_id)
            if stored is not None:
                return replace(
                    receipt,
                    message_id=stored,
                    send_time=time_of_id(stored),
                    persist_status=PersistStatus.PERSISTED,
                    durability=Durability.STORE,
                )
    return receipt


async def _send_sync(backends: Backends, message: Message, deadline_s: float) -> Receipt:
    """Store a message before answering (`sync` mode).

    Group chat uses this mode, and it is the baseline that the other mode is measured against. The
    sender's rate is counted by this process alone. When the store is away or too slow, the message
    is accepted as in `async` mode; the store may have taken the message all the same, which does no
    harm. So one attempt of a clientMsgId may be stored here and another accepted in `async` mode:
    the idempotency record in the cache decides between them.
    """
    if wait_s := backends.acceptor.commit.rates.take(message.from_user_id):
        raise TooManyRequests(wait_s)
    if first := await find_idempotency_record(backends, message):
        return await repeat_receipt(backends, message, first)
    try:
        now_s = asyncio.get_running_loop().time()
        async with asyncio.timeout_at((now_s + deadline_s) / 2):
            done = await backends.writes.add([message])
    except (StoreUnavailable, TimeoutError):
        return await _send_async(backends, message, Ack.LOG, deadline_s)
    for _, reason, error in done.refused:
        raise IdsUnavailable(error) if reason == "id_conflict" else SendFailed
    row = done.row_of(message.id)
    first = await _add_idempotency_record(backends, row)
    if first is not None and first.body_hash == row.body_hash:
        return await repeat_receipt(backends, message, first)
    await show_row(backends, row)  # the process that stored it may have ended before
    return receipt_of(row, Durability.STORE)


async def _add_idempotency_record(backends: Backends, row: Message) -> IdempotencyRecord | None:
    """Add the record of a stored message; return that of an earlier accepted attempt.

    The consumer deduplicates that attempt into this row. Return None while the cache is away.
    """
    if row.client_msg_id is None:
        return None
    try:
        return await backends.cache.add_idempotency_record(row)
    except CacheUnavailable:
        return None
