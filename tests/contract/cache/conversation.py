"""Load and read one conversation, as its readers and its consumer do."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from msgspec import structs

from messaging.domain.ids import WorkerLease
from messaging.domain.message import Message
from messaging.ports.cache import MessageCache
from messaging.ports.cached import CachedTail
from tests.support.messages import FIRST_ID, make_message

READER = 1
CONVERSATION = "1_2"
LEASE = WorkerLease(node=5, owner="me", valid_until_s=float("inf"), fenced=True)
RunOut = Callable[[], None]


def stored(message: Message, seq: int) -> Message:
    return structs.replace(message, seq=seq)


def rows(*numbers: int) -> list[Message]:
    """Return the store's rows of these messages, numbered in order of id."""
    return [stored(make_message(n), seq) for seq, n in enumerate(numbers, start=1)]


async def tail(
    cache: MessageCache,
    *,
    conversation_id: str = CONVERSATION,
    reader_id: int = READER,
    before: int | None = None,
    limit: int = 100,
) -> CachedTail:
    """Return a tail, which is the same where several tails are asked for."""
    seen = await cache.cached_tail(conversation_id, reader_id=reader_id, before=before, limit=limit)
    if before is None:
        several = await cache.newest_tails({conversation_id: limit}, reader_id=reader_id)
        assert several == {conversation_id: seen}
    return seen


async def listed(cache: MessageCache) -> list[int]:
    """Return the numbers (of `make_message`) of the conversation's list, newest first."""
    seen = await tail(cache, limit=2_000)
    return sorted((i - FIRST_ID for i in (*ids(seen.messages), *seen.missing)), reverse=True)


def ids(messages: Sequence[Message]) -> list[int]:
    return [message.id for message in messages]


async def one(cache: MessageCache, message: Message) -> Message | None:
    return (await cache.get([message.id])).get(message.id)


async def load(
    cache: MessageCache, messages: Sequence[Message] = (), *, floor: int = 0, base: int = 0
) -> None:
    """Load the conversation as a history reader does who finds nothing loaded."""
    token = await cache.begin_fill(CONVERSATION)
    assert token is not None
    await cache.fill(CONVERSATION, token, messages, floor=floor, base=base)


async def is_pending(cache: MessageCache, message: Message) -> bool:
    entries = await cache.pending(before_ms=2**53 - 1, limit=10_000)
    return message.id in {entry.message_id for entry in entries}
