"""Let a cache know a user's deletes and floors, as a reader does who finds them unknown."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from messaging.domain.conversations import Floor
from messaging.ports.cache import HiddenMessages
from messaging.ports.store import Deletes


async def know_deletes(
    cache: HiddenMessages,
    user_id: int,
    message_ids: Iterable[int] = (),
    *,
    floor: int = 0,
    floors: Mapping[str, Floor] | None = None,
) -> None:
    token = await cache.begin_deletes(user_id)
    await cache.fill_deletes(user_id, token, Deletes(tuple(message_ids), floor, floors or {}))
