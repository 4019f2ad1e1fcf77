"""Send a message: check the sender, give an id, and make the message durable before the answer."""

from __future__ import annotations

import asyncio
import contextlib

from msgspec.structs import replace

from messaging.domain.backend_errors import StoreUnavailable
from messaging.domain.backoff import Backoff
from messaging.domain.errors import (
    ApiError,
    Blocked,
    GroupDissolved,
    GroupNotFound,
    MutedInGroup,
    NotAMember,
    RightsDoubted,
    SendFailed,
    TemporarilyUnavailable,
    TooManyRequests,
    UserNotFound,
)
from messaging.domain.ids import conversation_id, time_of_id, under_id
from messaging.domain.message import ChatType, Message, PersistStatus, hash_body
from messaging.domain.requests import Ack, SendRequest
from messaging.pipeline.queued_send import Durability
from messaging.service.access import MOST_DOUBTS, check_member, recheck_member
from messaging.service.backends import Backends
from messaging.service.counting import count_accepted, count_refused
from messaging.service.idempotency import find_idempotency_record, find_stored_idempotency_record
from messaging.service.receipts import Receipt, receipt_of, repeat_receipt, stored_id
from messaging.service.send_right import SendRight, count_send, right_to_send
from messaging.service.send_sync import send_sync

FIRST_POLL_EVERY_S = 0.01
LAST_POLL_EVERY_S = 0.2
REFUSALS = (UserNotFound, Blocked, GroupNotFound, NotAMember, GroupDissolved, MutedInGroup)


async def send(backends: Backends, request: SendRequest, *, sender_id: int) -> Receipt:
    """Accept a message, or return the receipt of the earlier send that it repeats.

    A repeat gets its first send's receipt even when the sender may not send to the target any more.

    Raises: UserNotFound, Blocked, GroupNotFound, NotAMember, GroupDissolved, MutedInGroup,
    ClientMsgIdReused, TooManyRequests, SendFailed, IdsUnavailable, TemporarilyUnavailable.
    Leaves: after SendFailed the message may still appear: retry with the same clientMsgId, which
    answers with the first id.
    """
    deadline_s = asyncio.get_running_loop().time() + backends.settings.send_timeout_s
    try:
        try:
            receipt = await _send_checked(backends, request, sender_id, deadline_s)
        except REFUSALS:
            if (earlier := await _find_earlier(backends, request, sender_id, deadline_s)) is None:
                raise
            receipt = await _waited_for(backends, earlier, request.ack)
    except ApiError as error:
        count_refused(error)
        raise
    count_accepted(request.chat_type, receipt)
    return receipt


async def _send_checked(
    backends: Backends, request: SendRequest, sender_id: int, deadline_s: float
) -> Receipt:
    """Check the target and send; ask the database for what the guard of a group doubts.

    A message keeps its id where it can: the cache may have taken the message before it was lost.

    Raises: SendFailed where the message needs another id, may be taken under the present one, and
    has no clientMsgId by which the two would be known as one.
    """
    right = await _check_target(backends, request, sender_id)
    message = _compose(backends, request, sender_id)
    await count_send(backends, message.conversation_id)
    may_be_taken = False
    for _ in range(MOST_DOUBTS):
        try:
            return await _send_once(backends, message, right, request.ack, deadline_s)
        except RightsDoubted as doubt:
            may_be_taken |= doubt.may_be_taken
            if doubt.score or not doubt.not_before_ms:
                right = await _ask_again(backends, message, doubt.score, deadline_s)
            if message.send_time <= doubt.not_before_ms:
                if may_be_taken and message.client_msg_id is None:
                    raise SendFailed from doubt
                backends.ids.go_past(doubt.not_before_ms)
                message = under_id(message, backends.ids.next_id(message.conversation_id))
    return await _send_once(backends, message, right, request.ack, deadline_s)


async def _ask_again(
    backends: Backends, message: Message, score: int, deadline_s: float
) -> SendRight:
    """Return the right that the database gives the sender; a score of 0: the cache is away."""
    try:
        async with asyncio.timeout_at(deadline_s):
            access = await recheck_member(
                backends, group_id=message.to_id, user_id=message.from_user_id, after=score
            )
    except TimeoutError as error:
        raise SendFailed from error
    return right_to_send(access, now_ms=backends.clock_ms(), past_cache=not score)


async def _send_once(
    backends: Backends, message: Message, right: SendRight, ack: Ack, deadline_s: float
) -> Receipt:
    if (right.mode or backends.settings.mode_of(message.chat_type)) == "sync":
        receipt = await send_sync(backends, message, right, deadline_s)
        if receipt is not None:
            return receipt
        try:
            return await _send_async(backends, message, right, Ack.LOG, deadline_s)
        except RightsDoubted as doubt:  # the store may have the message
            raise RightsDoubted(doubt.score, doubt.not_before_ms, may_be_taken=True) from doubt
    return await _send_async(backends, message, right, ack, deadline_s)


async def _send_async(
    backends: Backends, message: Message, right: SendRight, ack: Ack, deadline_s: float
) -> Receipt:
    accepted = await backends.acceptor.accept(
        message,
        ack=ack,
        deadline_s=deadline_s,
        asked_after=right.asked_after,
        past_cache=right.past_cache,
    )
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


async def _check_target(backends: Backends, request: SendRequest, sender_id: int) -> SendRight:
    if request.chat_type is ChatType.GROUP:
        access = await check_member(backends, group_id=request.target_id, user_id=sender_id)
        return right_to_send(access, now_ms=backends.clock_ms())
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
    return SendRight()


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
