"""Hold a send that is queued for its group, and answer the send in the end."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field
from enum import StrEnum

import msgspec

from messaging.domain.errors import (
    ApiError,
    RightsDoubted,
    TooManyRequests,
    TooMuchPending,
)
from messaging.domain.events import encode_message
from messaging.domain.ids import under_id
from messaging.domain.message import Message
from messaging.domain.requests import Ack
from messaging.ports.cached import Guarded, IdempotencyRecord, PendingFull, RateLimited
from messaging.ports.log import Position


class Durability(StrEnum):
    """Name the strongest part that had confirmed a message when its send was answered."""

    CACHE = "cache"
    LOG = "log"
    STORE = "store"


class Accepted(msgspec.Struct, frozen=True, gc=False):
    """Hold a message as it was accepted; `repeats` names the earlier send it repeats."""

    message: Message
    durability: Durability
    repeats: IdempotencyRecord | None = None


@dataclass(slots=True, eq=False)
class QueuedSend:
    """Hold a send until it is answered, with the parts that have confirmed it so far.

    `asked_after`: the score after which the sender's access to a group was asked for; None in a
    private conversation.
    `past_cache`: the database was asked for the access, because the cache is away.
    """

    message: Message
    ack: Ack
    answer: asyncio.Future[Accepted]
    text: bytes  # the message, encoded
    deadline_s: float  # of the event loop's time
    asked_after: int | None = None
    past_cache: bool = False
    queued_s: float = 0.0  # of the event loop's time
    cached: bool = False
    appended: asyncio.Future[Position] | None = None
    repeats: list[QueuedSend] = field(default_factory=list)  # of this send, in the same group
    adopted: bool = False  # an earlier attempt of the send, maybe of another process, had this id

    def adopt(self, message_id: int) -> None:
        """Take the id of an earlier attempt of this send, which may have failed."""
        self.take_id(message_id)
        self.adopted = True

    def take_id(self, message_id: int) -> None:
        """Give the queued message another id."""
        self.message = under_id(self.message, message_id)
        self.text = encode_message(self.message)

    def resolve(self, durability: Durability, first: IdempotencyRecord | None = None) -> None:
        if not self.answer.done():
            self.answer.set_result(Accepted(self.message, durability, first))
        for repeat in self.repeats:
            repeat.resolve(durability, first or IdempotencyRecord.of(self.message))

    def fail(self, error: ApiError) -> None:
        if not self.answer.done():
            self.answer.set_exception(error)
        for repeat in self.repeats:
            repeat.fail(error)

    def refuse(self, verdict: RateLimited | PendingFull | Guarded) -> None:
        match verdict:
            case RateLimited(wait_s):
                self.fail(TooManyRequests(wait_s))
            case Guarded(score, not_before_ms):
                self.fail(RightsDoubted(score, not_before_ms))
            case PendingFull():
                self.fail(TooMuchPending())

    @property
    def in_log(self) -> bool:
        future = self.appended
        return bool(future and future.done() and not future.cancelled() and not future.exception())


def beyond_doubt(group: Sequence[QueuedSend]) -> list[QueuedSend]:
    """Return the sends that may do without the guard; let the others ask the database first."""
    sure = []
    for send in group:
        if send.asked_after is None or send.past_cache:
            sure.append(send)
        else:
            send.fail(RightsDoubted(may_be_taken=True))  # by a cache whose answer was lost
    return sure


def deadline_after(group: Sequence[QueuedSend], share: float) -> float:
    """Return the time of the event loop when this share of the group's time is over.

    The group's earliest deadline counts.
    """
    now_s = asyncio.get_running_loop().time()
    return now_s + max(min(send.deadline_s for send in group) - now_s, 0.0) * share
