"""Read cached messages and tails for history, and cache the store's rows for the next reader."""

from __future__ import annotations

import secrets
from collections.abc import Mapping, Sequence
from typing import Any

from messaging.cache import keys
from messaging.cache.client import RedisClient
from messaging.cache.lua import load
from messaging.cache.messages import read_details
from messaging.domain.batched import batched
from messaging.domain.conversations import NO_FLOOR, Floor
from messaging.domain.events import encode_message
from messaging.domain.ids import is_group
from messaging.domain.message import Message
from messaging.limits import MAX_CACHED_TAIL_BYTES
from messaging.ports.cached import CachedTail, ReaderView
from messaging.ports.store import Deletes

_TAILS = ("incarnation", "tail", "deletes", "guard", "reading")
CACHED_TAIL = load("cached_tail", uses=_TAILS)
NEWEST_TAILS = load("newest_tails", uses=_TAILS)
READER_VIEW = load("reader_view", uses=("incarnation", "tail", "deletes", "guard"))
DETAILS = load("details", uses=("incarnation",))
WAITING = load("waiting")
FILL = load("fill", uses=("rows", "incarnation", "state", "tail"))
ADD_DETAILS = load("add_details", uses=("rows", "incarnation", "state"))
BEGIN_FILL = load("begin_fill", uses=("incarnation", "tail"))
BEGIN_DELETES = load("begin_deletes", uses=("incarnation", "tail", "deletes"))
ADD_DELETES = load("add_deletes", uses=("incarnation", "tail", "deletes"))

TAILS_AT_ONCE = 25  # by one script: Redis answers no other client while a script runs


class RedisReading(RedisClient):
    """Implement the reading part of `RedisMessageCache`.

    `ports.cache.MessageCache` has the contract of each method.
    """

    async def get(self, message_ids: Sequence[int]) -> dict[int, Message]:
        if not message_ids:
            return {}
        texts = await self._run(DETAILS, [keys.detail(each) for each in message_ids], [])
        return read_details(message_ids, texts)[0]

    async def cached_tail(
        self, conversation_id: str, *, reader_id: int, before: int | None, limit: int
    ) -> CachedTail:
        return await self._cached_tail(conversation_id, reader_id, before, limit, keys.DETAIL)

    async def listed(
        self, conversation_id: str, *, reader_id: int, before: int | None, limit: int
    ) -> CachedTail:
        return await self._cached_tail(conversation_id, reader_id, before, limit, "")

    async def _cached_tail(
        self, conversation_id: str, reader_id: int, before: int | None, limit: int, prefix: str
    ) -> CachedTail:
        """Return a cached tail whose details have keys with this prefix; '' for ids alone."""
        names = [
            keys.tail(conversation_id),
            keys.loaded(conversation_id),
            keys.deleted(reader_id),
            keys.floors(reader_id),
        ]
        if is_group(conversation_id):
            names.append(keys.guard(conversation_id))
        bounds = ("" if before is None else before, limit)
        arguments = [*bounds, prefix, MAX_CACHED_TAIL_BYTES, reader_id, conversation_id]
        reply = await self._run(CACHED_TAIL, names, arguments)
        tail, known_above, recovering, guard, cleared = reply
        return _read_tail(tail, known_above, recovering, guard, cleared, has_texts=bool(prefix))

    async def newest_tails(
        self, limits: Mapping[str, int], *, reader_id: int
    ) -> dict[str, CachedTail]:
        names = [keys.deleted(reader_id), keys.floors(reader_id)]
        tails: dict[str, CachedTail] = {}
        for part in batched(list(limits), TAILS_AT_ONCE):
            arguments: list[str | int] = [MAX_CACHED_TAIL_BYTES, reader_id]
            for name in part:
                arguments += (name, limits[name])
            known_above, recovering, *each = await self._run(NEWEST_TAILS, names, arguments)
            for name, *tail in zip(part, each[::3], each[1::3], each[2::3], strict=True):
                tails[name] = _read_tail(tail[0], known_above, recovering, *tail[1:])
        return tails

    async def waiting(self, conversation_id: str, *, limit: int) -> list[int]:
        names = [keys.tail(conversation_id), keys.PENDING]
        return [int(each) for each in await self._run(WAITING, names, [limit])]

    async def reader_view(self, message_ids: Sequence[int], *, reader_id: int) -> ReaderView:
        names = [keys.deleted(reader_id), keys.floors(reader_id)]
        names += [keys.detail(each) for each in message_ids]
        reply = await self._run(READER_VIEW, names, [reader_id, *message_ids])
        texts, hidden, known_above, recovering, guards, floors = reply
        return ReaderView(
            messages=read_details(message_ids, texts)[0],
            deleted=frozenset(i for i, known in zip(message_ids, hidden, strict=True) if known),
            deletes_floor=None if known_above is None else int(known_above),
            recovering=bool(recovering),
            guards=dict(zip(map(int, guards[::2]), guards[1::2], strict=True)),
            floors=dict(zip(map(int, floors[::2]), map(read_floor, floors[1::2]), strict=True)),
        )

    async def begin_fill(self, conversation_id: str) -> str | None:
        token = secrets.token_hex(8)
        begun = await self._run(BEGIN_FILL, [keys.loaded(conversation_id)], [token])
        return token if begun else None

    async def fill(
        self,
        conversation_id: str,
        token: str,
        messages: Sequence[Message],
        *,
        floor: int,
        base: int,
    ) -> None:
        names = [keys.tail(conversation_id), keys.loaded(conversation_id), keys.PENDING]
        arguments: list[str | bytes | int] = [token, floor, base]
        for message in sorted(messages, key=lambda message: message.id):
            arguments += (message.id, encode_message(message))
        await self._run(FILL, names, arguments)

    async def add_details(self, messages: Sequence[Message]) -> None:
        if not messages:
            return
        arguments = [value for m in messages for value in (m.id, encode_message(m))]
        await self._run(ADD_DETAILS, [], arguments)

    async def add_deletes(
        self,
        user_id: int,
        message_ids: Sequence[int],
        *,
        floors: Mapping[str, Floor] | None = None,
    ) -> None:
        await self._add_deletes(user_id, "", Deletes(tuple(message_ids), 0, floors or {}))

    async def begin_deletes(self, user_id: int) -> str:
        names = [keys.deleted(user_id), keys.floors(user_id)]
        token: bytes = await self._run(BEGIN_DELETES, names, [secrets.token_hex(8)])
        return token.decode()

    async def fill_deletes(self, user_id: int, token: str, known: Deletes) -> None:
        await self._add_deletes(user_id, token, known)

    async def _add_deletes(self, user_id: int, token: str, known: Deletes) -> None:
        """Add deletes and floors; `token`: of a fill, '' for none."""
        arguments: list[str | int] = [token, known.floor, len(known.floors)]
        for conversation_id, each in known.floors.items():
            arguments += (conversation_id, f"{each.id}:{each.seq}")
        arguments += known.message_ids
        names = [keys.deleted(user_id), keys.floors(user_id)]
        await self._run(ADD_DELETES, names, arguments)


def read_floor(text: bytes) -> Floor:
    """Return the floor that a hash of floors holds, NO_FLOOR for an empty text."""
    return Floor(*map(int, text.split(b":"))) if text else NO_FLOOR


def _read_tail(
    tail: list[Any],
    known_above: bytes | None,
    recovering: int,
    guard: int,
    cleared: bytes | None,
    *,
    has_texts: bool = True,
) -> CachedTail:
    """Return a tail as a script replies it."""
    listed, texts, end, floor, total = tail
    ids = [int(each) for each in listed]
    states, missing = read_details(ids, texts) if has_texts else ({}, ids)
    return CachedTail(
        messages=tuple(states.values()),
        missing=tuple(missing),
        end=None if end is None else int(end),
        floor=None if floor is None else int(floor),
        total=total,
        deletes_floor=None if known_above is None else int(known_above),
        recovering=bool(recovering),
        guard=guard,
        cleared=None if cleared is None else read_floor(cleared),
    )
