"""Tell all processes that rights in a group may have shrunk, and open the floors of joins."""

from __future__ import annotations

from collections.abc import Collection

from messaging.cache import keys
from messaging.cache.client import RedisClient
from messaging.cache.lua import load
from messaging.domain.ids import EPOCH_MS, TIME_SHIFT
from messaging.domain.message import Message
from messaging.ports.cached import Guarded

DISTRUST = load("distrust", uses=("incarnation", "guard"))
OPEN_FLOOR = load("open_floor", uses=("incarnation", "guard"))
JUDGE = load("judge", uses=("incarnation", "guard"))


class RedisGuards(RedisClient):
    """Implement the guards of `RedisMessageCache`.

    `ports.cache.MessageCache` has the contract of each method.
    """

    async def distrust(self, conversation_id: str, user_ids: Collection[int] | None) -> None:
        doubted = ["*"] if user_ids is None else list(user_ids)
        if doubted:
            await self._run(DISTRUST, [keys.guard(conversation_id)], doubted)

    async def open_floor(self, conversation_id: str, now_ms: int) -> int:
        names = [keys.tail(conversation_id), keys.guard(conversation_id)]
        return int(await self._run(OPEN_FLOOR, names, [now_ms, 1 << TIME_SHIFT, EPOCH_MS]))

    async def judge(self, message: Message, *, asked_after: int) -> Guarded | None:
        names = [keys.guard(message.conversation_id)]
        arguments = [message.from_user_id, asked_after, message.send_time]
        verdict = await self._run(JUDGE, names, arguments)
        return None if verdict is None else Guarded(*verdict)
