"""Follow a person's conversations by sync alone during a fault, and compare them in the end."""

from __future__ import annotations

import asyncio
import copy
from collections.abc import Mapping, Sequence
from random import Random
from typing import Any

from messaging.terminal.model import Conversation, Model
from tests.faults.client import FaultClient
from tests.faults.places import Place

LONGEST_PAUSE_S = 0.6
MOST_CALLS = 60
CALL_PAUSE_S = 0.5
PAGE = 100
Json = Mapping[str, Any]


class Follower:
    """Sync and mark as one person; crashes now and then, and goes on from an earlier state."""

    def __init__(self, random: Random, clients: Sequence[FaultClient]) -> None:
        self._random, self._clients = random, clients
        self._model, self._saved = Model(), [Model()]
        self._marked: dict[str, int] = {}
        self.wrong: list[str] = []

    async def run(self, stop: asyncio.Event) -> None:
        while not stop.is_set():
            await self._sync()
            if self._random.random() < 0.3:
                await self._mark()
            if self._random.random() < 0.1:
                self._model = copy.deepcopy(self._random.choice(self._saved))
            await asyncio.sleep(self._random.uniform(0, LONGEST_PAUSE_S))

    async def compare(self, places: Sequence[Place]) -> None:
        """Catch up, and note in `wrong` each conversation that differs from its history."""
        if not await self._catch_up():
            self.wrong.append(f"user {self._client.user} does not catch up")
            return
        listed = {each["conversationId"]: each for each in await self._client.list_all()}
        known = self._model.conversations
        if known.keys() != listed.keys():
            self.wrong.append(f"conversations {sorted(known)}, not {sorted(listed)}")
        for place in places:
            name = place.conversation
            messages = await self._client.whole_history(place.target, place.chat_type, size=PAGE)
            if name in known and name in listed:
                self._compare(name, known[name], listed[name], messages)

    def _compare(
        self, name: str, known: Conversation, listed: Json, messages: Sequence[Json]
    ) -> None:
        mine, afresh = [_brief(m) for m in known.in_order], [_brief(m) for m in messages]
        user = self._client.user
        if mine != afresh:
            missing, odd = set(afresh) - set(mine), set(mine) - set(afresh)
            self.wrong.append(f"{name} of {user}: missing {missing}, too many {odd}")
        unread = min(_recount(messages, user, listed["readSeq"]), 999)
        if listed["unread"] != unread:
            self.wrong.append(f"{name} of {user}: {listed['unread']} unread, not {unread}")
        if listed["readSeq"] < self._marked.get(name, 0):
            self.wrong.append(f"{name} of {user}: read to {self._marked[name]} once")

    async def _catch_up(self) -> bool:
        is_whole = False  # the round under way: an answer before may have been partial
        for _ in range(MOST_CALLS):
            answer = await self._sync()
            if answer is None or answer["partial"]:
                is_whole = False
                await asyncio.sleep(CALL_PAUSE_S)
            elif not answer["hasMore"]:
                if is_whole:
                    return await self._fill_gaps()
                is_whole = True
        return False

    async def _fill_gaps(self) -> bool:
        for _ in range(MOST_CALLS):
            if not self._model.gaps:
                return True
            name, (first, last) = self._model.gaps[0]
            page = await self._client.span(name, first, last)
            if page is None:
                await asyncio.sleep(CALL_PAUSE_S)
            else:
                self._model.conversations[name].fill(page)
        return False

    async def _sync(self) -> Json | None:
        order = self._random.choice(("newest", "newest", "oldest"))
        limit = self._random.choice((1, 5, 20, 100))
        answer = await self._client.sync(self._model.cursor, limit=limit, order=order)
        if answer is not None and self._random.random() > 0.1:  # else the client has missed it
            self._model.apply(answer)
            if self._random.random() < 0.2:
                self._saved.append(copy.deepcopy(self._model))
            return answer
        return None

    async def _mark(self) -> None:
        """Mark a conversation as read up to its last message, or to an earlier one."""
        if not (names := sorted(self._model.conversations)):
            return
        name = self._random.choice(names)
        last = self._model.conversations[name].about["lastSeq"]
        told = await self._client.mark(name, self._random.randint(1, max(1, last)))
        if told is None:
            return
        if told < self._marked.get(name, 0):
            self.wrong.append(f"{name}: read to {told} after {self._marked[name]}")
        self._marked[name] = max(told, self._marked.get(name, 0))

    @property
    def _client(self) -> FaultClient:
        return self._random.choice(self._clients)


def _brief(message: Json) -> tuple[object, ...]:
    names = ("messageId", "seq", "status", "content", "url", "rev")
    return tuple(message[name] for name in names)


def _recount(messages: Sequence[Json], user: int, read_seq: int) -> int:
    return sum(
        message["fromUserId"] != str(user)
        and message["status"] == "NORMAL"
        and message["notice"] is None
        and message["seq"] > read_seq
        for message in messages
    )
