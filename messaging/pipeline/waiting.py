"""A send that waits for its group, and what it is told in the end. Used by `accept`."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field
from enum import StrEnum

import msgspec

from messaging.domain.errors import ApiError
from messaging.domain.events import Message, encode_message
from messaging.domain.ids import under_id
from messaging.domain.requests import Ack
from messaging.ports.cached import Claim
from messaging.ports.log import Position


class Durability(StrEnum):
    """The strongest store that had confirmed a message when its send was answered."""

    CACHE = "cache"
    LOG = "log"
    STORE = "store"


class Accepted(msgspec.Struct, frozen=True, gc=False):
    """The message as it was accepted, or the claim of the earlier send that it repeats."""

    message: Message
    durability: Durability
    repeats: Claim | None = None


@dataclass(slots=True)
class Waiting:
    message: Message
    ack: Ack
    answer: asyncio.Future[Accepted]
    text: bytes  # the message, encoded
    deadline_s: float  # of the event loop's time
    cached: bool = False
    appended: asyncio.Future[Position] | None = None
    repeats: list[Waiting] = field(default_factory=list)  # of it, in its own group
    adopted: bool = False  # its id is that of an attempt at the same send, another process's maybe

    def adopt(self, message_id: int) -> None:
        """Be the same message as an earlier attempt at this send, which may have failed."""
        self.take_id(message_id)
        self.adopted = True

    def take_id(self, message_id: int) -> None:
        """Wait under this id from now on."""
        self.message = under_id(self.message, message_id)
        self.text = encode_message(self.message)

    def resolve(self, durability: Durability, first: Claim | None = None) -> None:
        if not self.answer.done():
            self.answer.set_result(Accepted(self.message, durability, first))
        for repeat in self.repeats:
            repeat.resolve(durability, first or Claim(self.message.id, self.message.body_hash))

    def fail(self, error: ApiError) -> None:
        if not self.answer.done():
            self.answer.set_exception(error)
        for repeat in self.repeats:
            repeat.fail(error)

    @property
    def key(self) -> tuple[int, str] | None:
        text = self.message.client_msg_id
        return None if text is None else (self.message.from_user_id, text)

    @property
    def in_log(self) -> bool:
        future = self.appended
        return bool(future and future.done() and not future.cancelled() and not future.exception())


def share_of_time(group: Sequence[Waiting], share: float) -> float:
    """When this share of the time is over that is left for the group."""
    now_s = asyncio.get_running_loop().time()
    return now_s + max(min(waiting.deadline_s for waiting in group) - now_s, 0.0) * share
