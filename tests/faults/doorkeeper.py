"""Let a guest into a group and out again, and have the guest ask at once for what is gone."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Sequence
from random import Random
from typing import Literal

from messaging.domain.ids import group_conversation
from messaging.domain.message import ChatType
from tests.faults.client import FaultClient, Post

LONGEST_PAUSE_S = 0.3
PAGE = 50


class Doorkeeper:
    """Invite the guest as the group's owner, and remove the guest, until told to stop.

    After each answered removal the guest asks at once on all connections.
    """

    def __init__(
        self,
        random: Random,
        owner: Sequence[FaultClient],
        guest: Sequence[FaultClient],
        group: int,
        names: Iterator[int],
    ) -> None:
        self._random, self._owner, self._guest = random, owner, guest
        self._group, self._names = group, names

    async def run(self, stop: asyncio.Event) -> None:
        while not stop.is_set():
            if await self._let("invite"):
                await self._ask(self._random.choice(self._guest))
                await asyncio.sleep(self._random.uniform(0, LONGEST_PAUSE_S))
            if await self._let("remove"):
                await asyncio.gather(*(self._ask(each) for each in self._guest))
            await asyncio.sleep(self._random.uniform(0, LONGEST_PAUSE_S))

    async def _let(self, kind: Literal["invite", "remove"]) -> bool:
        owner = self._random.choice(self._owner)
        told = await owner.let(kind, self._group, self._guest[0].user)
        return told.outcome == "ok"

    async def _ask(self, guest: FaultClient) -> None:
        name, conversation = f"guest-{next(self._names)}", group_conversation(self._group)
        post = Post(name, conversation, self._group, ChatType.GROUP, f"{name} says")
        page = guest.page(
            conversation, target=self._group, chat_type=ChatType.GROUP, size=PAGE, before=None
        )
        await asyncio.gather(guest.send(post), page)
