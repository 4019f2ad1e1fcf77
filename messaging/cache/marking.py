"""Mark accepted messages as stored, folded into an earlier send, or dead-lettered.

The module also lists the pending messages, whose fate is not known yet, for the compensation.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

from messaging.cache import keys
from messaging.cache.client import RedisClient
from messaging.cache.lua import load
from messaging.domain.events import Message, encode_message
from messaging.ports.cached import PendingEntry

MARK_STORED = load("mark_stored", uses=("incarnation", "state", "tail", "bytes"))
MARK_FOLDED = load("mark_folded", uses=("incarnation", "state", "tail", "bytes"))
PARK = load("park", uses=("incarnation", "tail", "bytes"))
RETRY = load("retry", uses=("incarnation", "tail"))
PENDING = load("pending")

MARKED_AT_ONCE = 200  # by one script: Redis answers no other client while a script runs

_CONVERSATION = re.compile(rb'"conversationId":"([^"]*)"')
_MARKS = [keys.PENDING, keys.ATTEMPTS, keys.PENDING_BYTES]


class Marking(RedisClient):
    """Implement the marking part of `RedisMessageCache`.

    `ports.cache.MessageCache` has the contract of each method.
    """

    async def mark_stored(self, messages: Sequence[Message]) -> None:
        # Rows of one conversation stand together, so that each script touches few lists.
        rows = sorted(messages, key=lambda m: (m.conversation_id, m.id))
        for first in range(0, len(rows), MARKED_AT_ONCE):
            await self._mark_stored(rows[first : first + MARKED_AT_ONCE])

    async def _mark_stored(self, messages: Sequence[Message]) -> None:
        tails, places = keys.tails((m.conversation_id for m in messages), after=len(_MARKS))
        names = _MARKS + tails
        details = len(names) + 1
        names += [keys.detail(m.id) for m in messages]
        names += [keys.cancel(m.id) for m in messages]
        arguments: list[bytes | int] = [len(messages), details, *(m.id for m in messages)]
        arguments += [places[m.conversation_id] for m in messages]
        arguments += [_seq(m) for m in messages]
        arguments += [encode_message(m) if m.is_recalled else b"" for m in messages]
        await self._run(MARK_STORED, names, arguments)

    async def mark_folded(self, folded: Mapping[int, Message]) -> None:
        if not folded:
            return
        # A repeat may have gone to another conversation than the first send. Only the detail of
        # the repeat names the conversation.
        texts = await self._command("MGET", *(keys.detail(message_id) for message_id in folded))
        found = [_CONVERSATION.search(text or b"") for text in texts]
        conversations = [match and match[1].decode() for match in found]
        tails, places = keys.tails((c for c in conversations if c is not None), after=len(_MARKS))
        names = _MARKS + tails
        arguments: list[str | int] = [len(folded), len(names) + 1]
        for (message_id, first), conversation in zip(folded.items(), conversations, strict=True):
            assert first.client_msg_id is not None  # the two sends share this key
            names += (
                keys.detail(message_id),
                keys.cancel(message_id),
                keys.dedupe(first.from_user_id, first.client_msg_id),
            )
            place = 0 if conversation is None else places[conversation]
            arguments += (message_id, place, f"{first.id}:{first.body_hash}")
        await self._run(MARK_FOLDED, names, arguments)

    async def park(self, messages: Sequence[Message]) -> None:
        if not messages:
            return
        tails, places = keys.tails((m.conversation_id for m in messages), after=len(_MARKS))
        names = [*_MARKS, *tails, *(keys.detail(m.id) for m in messages)]
        arguments: list[int] = [len(messages), len(_MARKS) + len(tails) + 1]
        for message in messages:
            arguments += (message.id, places[message.conversation_id])
        await self._run(PARK, names, arguments)

    async def retry(self, messages: Sequence[Message]) -> dict[int, int]:
        if not messages:
            return {}
        tails, places = keys.tails((m.conversation_id for m in messages), after=len(_MARKS))
        arguments: list[int] = [len(messages)]
        for message in messages:
            arguments += (message.id, places[message.conversation_id])
        counts = await self._run(RETRY, _MARKS + tails, arguments)
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
