"""Set recall marks, and blank the cached content of recalled messages."""

from __future__ import annotations

from collections.abc import Sequence

from messaging.cache import keys
from messaging.cache.client import RedisClient
from messaging.cache.lua import load
from messaging.domain.events import encode_message
from messaging.domain.message import Message, Recall

SET_RECALL_MARK = load("set_recall_mark", uses=("incarnation", "state"))
CLEAR_RECALL_MARK = load("clear_recall_mark", uses=("incarnation", "state"))
CONFIRM_RECALL = load("confirm_recall", uses=("incarnation", "state"))

SCANNED_AT_ONCE = 500


class RedisRecalling(RedisClient):
    """Implement the recalls of `RedisMessageCache`.

    `ports.cache.MessageCache` has the contract of each method.
    """

    async def set_recall_mark(self, message_id: int, recall: Recall) -> Recall:
        return _read_mark(await self._run(SET_RECALL_MARK, _keys(message_id), [_mark(recall)]))

    async def clear_recall_mark(self, message_id: int, recall: Recall) -> None:
        await self._run(CLEAR_RECALL_MARK, _keys(message_id), [_mark(recall)])

    async def confirm_recall(self, tombstone: Message) -> None:
        if not tombstone.is_recalled:
            raise ValueError(f"message {tombstone.id} is not recalled")
        names = [*_keys(tombstone.id), keys.PENDING_BYTES]
        await self._run(CONFIRM_RECALL, names, [encode_message(tombstone)])

    async def recall_marks(self, message_ids: Sequence[int]) -> dict[int, Recall]:
        if not message_ids:
            return {}
        marks = await self._command("MGET", *(keys.cancel(each) for each in message_ids))
        pairs = zip(message_ids, marks, strict=True)
        return {message_id: _read_mark(mark) for message_id, mark in pairs if mark is not None}

    async def marked(self) -> list[int]:
        found: set[int] = set()
        cursor = b""
        while cursor != b"0":
            scan = ("SSCAN", keys.CANCELS, cursor or b"0", "COUNT", SCANNED_AT_ONCE)
            cursor, ids = await self._command(*scan)
            found.update(map(int, ids))
        return sorted(found)


def _keys(message_id: int) -> list[str]:
    return [keys.detail(message_id), keys.cancel(message_id)]


def _mark(recall: Recall) -> str:
    return str(recall.time) if recall.by is None else f"{recall.time}:{recall.by}"


def _read_mark(text: bytes) -> Recall:
    time, _, by = text.partition(b":")
    return Recall(int(time), int(by) if by else None)
