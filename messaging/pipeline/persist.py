"""Persist message states, setting aside the ones that the database refuses.

The consumer and the compensation both store through here, and only through here.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from messaging.errors import BadData
from messaging.events import Message
from messaging.ports import MessageCache, MessageStore


@dataclass(slots=True)
class Persisted:
    """`rows` are stored; `folded` repeat an earlier send; `refused` belong in the dead letters."""

    rows: list[Message] = field(default_factory=list)
    folded: dict[int, Message] = field(default_factory=dict)
    deletes: list[tuple[int, int]] = field(default_factory=list)  # user, message
    refused: list[tuple[Message, str, str]] = field(default_factory=list)  # message, reason, error


async def persist(
    store: MessageStore, messages: Sequence[Message], *, owed: bool = False
) -> Persisted:
    """Store every state that can be stored; a refused one never keeps its neighbours out.

    A batch with bad data is halved until the bad one is alone: n poison messages among m cost
    about 2 n log2 m calls. With `owed` what is stored is noted as arrears of the cache. Raises
    StoreUnavailable; what was stored by then stays, and a repeat changes nothing about it.
    """
    done = Persisted()
    parts = [list(messages)] if messages else []
    while parts:
        part = parts.pop()
        try:
            result = await store.apply(part, owed=owed)
        except BadData as error:
            if len(part) == 1:
                done.refused.append((part[0], "bad_data", str(error)))
            else:
                half = len(part) // 2
                parts += [part[half:], part[:half]]
            continue
        done.rows += result.rows
        done.folded |= result.folded
        done.deletes += result.deletes
        done.refused += [
            (message, "id_conflict", "this id belongs to another message")
            for message in result.conflicts
        ]
    return done


async def mark(cache: MessageCache, done: Persisted) -> None:
    """Tell the cache what is stored. Raises CacheUnavailable; repeat it until it goes through.

    So is the row that a repeat was folded into: whoever stored it may have had no answer.
    """
    rows = {row.id: row for row in (*done.folded.values(), *done.rows)}
    if rows:
        await cache.mark_stored([rows[message_id] for message_id in sorted(rows)])
    for user_id, message_id in done.deletes:
        await cache.add_deletes(user_id, [message_id])
    if done.folded:
        await cache.mark_folded(done.folded)
