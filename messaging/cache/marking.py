"""Mark accepted messages as stored, deduplicated into an earlier send, or dead-lettered.

The module also lists the pending messages, whose fate is not known yet, for the compensation.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

from messaging.cache import keys
from messaging.cache.client import RedisClient
from messaging.cache.lua import load
from messaging.cache.messages import record_text
from messaging.domain.batched import batched
from messaging.domain.events import encode_message
from messaging.domain.message import Message
from messaging.ports.cached import PendingEntry

MARK_STORED = load(
    "mark_stored", uses=("rows", "incarnation", "rates", "state", "tail", "pending", "heads")
)
MARK_DUPLICATES = load("mark_duplicates", uses=("rows", "incarnation", "state", "tail", "pending"))
DEAD_LETTER = load("dead_letter", uses=("rows", "incarnation", "tail", "pending"))
COUNT_ATTEMPT = load("count_attempt", uses=("rows", "incarnation", "tail"))
PENDING = load("pending")

MARKED_AT_ONCE = 200  # by one script: Redis answers no other client while a script runs

_CONVERSATION = re.compile(rb'"conversationId":"([^"]*)"')
_MARKS = [keys.PENDING, keys.ATTEMPTS, keys.PENDING_BYTES]


class RedisMarking(RedisClient):
    """Implement the marking part of `RedisMessageCache`.

    `ports.cache.MessageCache` has the contract of each method.
    """

    async def mark_stored(self, messages: Sequence[Message]) -> None:
        # Rows of one conversation stand together, so that each script touches few lists.
        rows = sorted(messages, key=lambda m: (m.conversation_id, m.id))
        for part in batched(rows, MARKED_AT_ONCE):
            await self._mark_stored(part)

    async def _mark_stored(self, messages: Sequence[Message]) -> None:
        arguments: list[str | bytes | int] = []
        for row in messages:
            tombstone = encode_message(row) if row.is_recalled else b""
            arguments += (row.id, row.conversation_id, _seq(row), row.rev, tombstone)
        await self._run(MARK_STORED, _MARKS, arguments)

    async def mark_duplicates(self, duplicates: Mapping[int, Message]) -> None:
        if not duplicates:
            return
        # A repeat may have gone to another conversation than the first send. Only the detail of
        # the repeat names the conversation.
        texts = await self._command("MGET", *(keys.detail(message_id) for message_id in duplicates))
        found = [_CONVERSATION.search(text or b"") for text in texts]
        arguments: list[str | bytes | int] = []
        for (message_id, first), match in zip(duplicates.items(), found, strict=True):
            assert first.client_msg_id is not None  # the two sends share this key
            arguments += (message_id, match[1] if match else "")
            arguments += (first.from_user_id, first.client_msg_id, record_text(first))
        await self._run(MARK_DUPLICATES, _MARKS, arguments)

    async def dead_letter(self, messages: Sequence[Message]) -> None:
        if messages:
            await self._run(DEAD_LETTER, _MARKS, _with_conversations(messages))

    async def count_attempt(self, messages: Sequence[Message]) -> dict[int, int]:
        if not messages:
            return {}
        names = [keys.PENDING, keys.ATTEMPTS]
        counts = await self._run(COUNT_ATTEMPT, names, _with_conversations(messages))
        return {message.id: count for message, count in zip(messages, counts, strict=True)}

    async def attempts(self, message_ids: Sequence[int]) -> dict[int, int]:
        if not message_ids:
            return {}
        counts = await self._command("HMGET", keys.ATTEMPTS, *message_ids)
        return {i: int(count or 0) for i, count in zip(message_ids, counts, strict=True)}

    async def pending(
        self, *, before_ms: int, limit: int, after: PendingEntry | None = None
    ) -> list[PendingEntry]:
        position = ("", "") if after is None else (after.send_time, after.message_id)
        return _entries(await self._run(PENDING, [keys.PENDING], [before_ms, limit, *position]))

    async def pending_count(self) -> int:
        return int(await self._command("ZCARD", keys.PENDING))

    async def newest_pending(self, *, offset: int, limit: int) -> list[PendingEntry]:
        last = offset + limit - 1
        return _entries(
            await self._command("ZRANGE", keys.PENDING, offset, last, "REV", "WITHSCORES")
        )


def _with_conversations(messages: Sequence[Message]) -> list[int | str]:
    return [value for m in messages for value in (m.id, m.conversation_id)]


def _seq(row: Message) -> int:
    if row.seq is None:
        raise ValueError(f"message {row.id} has no seq: it is no row of the store")
    return row.seq


def _entries(reply: Sequence[bytes]) -> list[PendingEntry]:
    """Return the pending entries of a reply that has ids and scores (send times) in turn."""
    return [
        PendingEntry(int(message_id), int(float(score)))
        for message_id, score in zip(reply[::2], reply[1::2], strict=True)
    ]
