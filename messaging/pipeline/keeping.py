"""Keep messages for the cache in bounded memory. Used by `kept_messages` alone."""

from __future__ import annotations

import sys
from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from messaging.domain.message import Key, Message
from messaging.ports.cached import IdempotencyRecord

MOST_BYTES = 64 * 1024 * 1024  # of each kind
STRUCT_BYTES = 1_000  # a message without its texts, and its entry in a collection


def size_bytes(message: Message) -> int:
    """Return about what a message takes in memory, without reading its texts."""
    texts = sys.getsizeof(message.content) + sys.getsizeof(message.url or "")
    return STRUCT_BYTES + texts + 40 * len(message.at_user_ids)


@dataclass(slots=True)
class Late:
    """Keep the messages that have to be written to the cache, each at its last state.

    A message with a clientMsgId has an idempotency record here as long as the message is kept.

    Order: oldest first.
    """

    most_bytes: int = MOST_BYTES
    bytes: int = 0
    _messages: dict[int, Message] = field(default_factory=dict)
    _records: dict[Key, IdempotencyRecord] = field(default_factory=dict)

    def __len__(self) -> int:
        return len(self._messages)

    def __contains__(self, message_id: int) -> bool:
        return message_id in self._messages

    def first(self, count: int) -> list[Message]:
        """Return the `count` oldest messages."""
        return [message for _, message in zip(range(count), self._messages.values(), strict=False)]

    def put(self, message: Message) -> None:
        """Keep a message, in place of an earlier state of it."""
        if (earlier := self._messages.get(message.id)) is not None:
            self.drop(earlier)
        self._messages[message.id] = message
        self.bytes += size_bytes(message)
        if message.key is not None:
            self._records[message.key] = IdempotencyRecord.of(message)

    def drop(self, message: Message) -> None:
        """Forget this state of a message, but no later state of it. Safe to repeat."""
        if self._messages.get(message.id) is not message:
            return
        del self._messages[message.id]
        self.bytes -= size_bytes(message)
        if message.key is not None:
            self._records.pop(message.key, None)

    def record_of(self, key: Key) -> IdempotencyRecord | None:
        """Return the idempotency record of the message that was sent under this key, if kept."""
        return self._records.get(key)

    def excess(self) -> Message | None:
        """Return the oldest message if the messages take more than `most_bytes`."""
        return next(iter(self._messages.values())) if self.bytes > self.most_bytes else None


@dataclass(slots=True)
class RecentWrites:
    """Keep the messages that were lately written to the cache, with the time of each write.

    Order: oldest first. Times are the event loop's.
    """

    most_bytes: int = MOST_BYTES
    bytes: int = 0
    _writes: deque[tuple[float, Sequence[Message], int]] = field(default_factory=deque)

    def put(self, written_s: float, messages: Sequence[Message], *, keep_from_s: float) -> bool:
        """Keep these messages, written at `written_s`; drop the writes before `keep_from_s`.

        Return False when the kept messages took more than `most_bytes`: the oldest writes are
        dropped then, but never the last one.
        """
        taken_bytes = sum(map(size_bytes, messages))
        self._writes.append((written_s, messages, taken_bytes))
        self.bytes += taken_bytes
        while self._writes[0][0] < keep_from_s:
            self._forget_first()
        fits = self.bytes <= self.most_bytes
        while self.bytes > self.most_bytes and len(self._writes) > 1:
            self._forget_first()
        return fits

    def since(self, moment_s: float) -> Iterator[Message]:
        """Yield the messages that were written after this moment, in the order of the writes."""
        for written_s, messages, _ in self._writes:
            if written_s > moment_s:
                yield from messages

    def _forget_first(self) -> None:
        self.bytes -= self._writes.popleft()[2]
