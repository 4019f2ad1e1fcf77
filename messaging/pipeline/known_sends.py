"""Find earlier sends without the cache's idempotency records. Used by `commit` alone.

The store has the keys of its rows, and the keys that a process reserved before the process gave a
message to the log. A reserved key without a row says nothing about its message, which may be under
way or have failed. So a repeat of such a send is accepted under the reserved id, as the same
message. Whichever of the two is stored, the client has only one id, and the id leads to a message.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass

from messaging.domain.backend_errors import BadData, StoreUnavailable
from messaging.domain.message import Message
from messaging.pipeline.hints import CacheHints
from messaging.pipeline.queued_send import QueuedSend, deadline_after
from messaging.ports.cached import IdempotencyRecord
from messaging.ports.store import MessageStore

SHARE = 1 / 4  # of the time that is left; past it the sends go on without the store's answer


@dataclass(frozen=True, slots=True)
class KnownSends:
    """Find the records of earlier sends that a group repeats, by the ids of the group's messages.

    A repeat of an attempt that may have failed has no idempotency record here: it takes that
    attempt's id.
    """

    store: MessageStore
    hints: CacheHints

    async def reserve(self, group: Sequence[QueuedSend]) -> dict[int, IdempotencyRecord]:
        """Return the group's records, and reserve the keys of its other messages in the store.

        Called while the cache is away: a retry may come to another process, which finds the key.
        """
        return await self._ask(group, self.store.reserve)

    async def find(self, group: Sequence[QueuedSend]) -> dict[int, IdempotencyRecord]:
        """Return the group's idempotency records, without reserving any key.

        Called when the cache may have lost idempotency records: the cache itself adds the records
        of new messages.
        """
        return await self._ask(group, self._find_sends)

    async def _ask(
        self,
        group: Sequence[QueuedSend],
        store: Callable[[Sequence[Message]], Awaitable[dict[int, IdempotencyRecord]]],
    ) -> dict[int, IdempotencyRecord]:
        """Return the records of this process's late sends, and the store's of the other sends.

        The store's records are left out when the store fails, or is late.
        """
        records: dict[int, IdempotencyRecord] = {}
        unknown: list[QueuedSend] = []
        for send in group:
            if (key := send.message.key) is None:
                continue
            if (record := self.hints.idempotency_record(*key)) is not None:
                records[send.message.id] = record
            else:
                unknown.append(send)
        if unknown:
            with contextlib.suppress(StoreUnavailable, BadData, TimeoutError):
                async with asyncio.timeout_at(deadline_after(group, SHARE)):
                    records |= await store([send.message for send in unknown])
        return _without_failed(unknown, records)

    async def _find_sends(self, messages: Sequence[Message]) -> dict[int, IdempotencyRecord]:
        keys = {m.id: key for m in messages if (key := m.send_key) is not None}
        found = await self.store.find_idempotency_records(list(dict.fromkeys(keys.values())))
        records = {i: found[key] for i, key in keys.items() if key in found}
        return {i: record for i, record in records.items() if record.message_id != i}


def _without_failed(
    group: Sequence[QueuedSend], records: dict[int, IdempotencyRecord]
) -> dict[int, IdempotencyRecord]:
    for send in group:
        record = records.get(send.message.id)
        if record is not None and not record.is_stored:
            del records[send.message.id]
            send.adopt(record.message_id)
    return records
