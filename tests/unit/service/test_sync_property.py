"""Test that clients on sync end with what a fresh reading gives, whatever happens meanwhile.

Clients lose answers, go back to what they knew long before, and mix both orders and all sizes. The
database is away at times. No answer asks a client to call again as it has called.
"""

from __future__ import annotations

import contextlib
import random
from collections.abc import Sequence
from copy import deepcopy
from dataclasses import dataclass, field
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from messaging.domain.conversations import Mark
from messaging.domain.errors import ApiError
from messaging.domain.groups import History
from messaging.domain.ids import group_conversation, is_group
from messaging.domain.message import ChatType
from messaging.domain.sync_cursor import decode_cursor, encode_cursor
from messaging.service import groups, sync_round, windows
from messaging.service.delete import delete
from messaging.service.group_rules import Actor
from messaging.service.marks import mark
from messaging.service.recall import recall
from messaging.service.send import send
from messaging.terminal.model import Json, Model
from tests.simulation.loop import VirtualLoop
from tests.support.memory import ALICE, BOB, MALLORY, to_bob, to_group
from tests.support.sync_site import USERS, SyncSite, chat

MOST_CALLS = 500
CALLS_TO_KNOW = 3  # the first proves a delivery, and the second fills the cache


@dataclass
class Known:
    """Hold what a client was told by the answers that led to its cursor.

    `names`: the conversations. `reached`: by conversation, the `seq` up to which the client was
    told or has a gap. `revs`: the changes that the client was told.
    """

    cursor: str | None = None
    names: set[str] = field(default_factory=set)
    reached: dict[str, int] = field(default_factory=dict)
    revs: set[tuple[str, int]] = field(default_factory=set)


@dataclass
class Client:
    """Keep up with one user's conversations by sync, and check each answer."""

    site: SyncSite
    user_id: int
    model: Model = field(default_factory=Model)
    known: Known = field(default_factory=Known)
    past: list[tuple[Known, Model]] = field(default_factory=list)
    is_partial: bool = False  # the last answer

    async def sync(self, draw: random.Random, *, loses: bool = False) -> bool:
        """Call sync once; return whether there is more."""
        limit, order = draw.choice([1, 2, 5]), draw.choice(["newest", "oldest"])
        answer = await self.site.sync(
            self.user_id, cursor=self.known.cursor, limit=limit, order=order
        )
        assert not (answer["hasMore"] and answer["cursor"] == self.known.cursor)
        await self._check_digest(answer, limit, order)
        self.is_partial = answer["partial"]
        if not loses:
            self.past.append(deepcopy((self.known, self.model)))
            for told in answer["conversations"]:
                self._check(told, limit)
            self.known.cursor = answer["cursor"]
            self.model.apply(answer)
        return bool(answer["hasMore"])

    @property
    def knows_its_list(self) -> bool:
        if self.known.cursor is None:
            return False
        return decode_cursor(self.known.cursor, own_id=self.user_id).idle_digest is not None

    async def _check_digest(self, answer: dict[str, Any], limit: int, order: str) -> None:
        """Check that a client without the digest of its list is told the same."""
        if not self.knows_its_list:
            return
        cursor = decode_cursor(self.known.cursor or "", own_id=self.user_id)
        text = encode_cursor(replace(cursor, idle_digest=None), own_id=self.user_id)
        plain = await self.site.sync(self.user_id, cursor=text, limit=limit, order=order)
        for field_name in ("conversations", "hasMore", "partial"):
            assert answer[field_name] == plain[field_name]

    def go_back(self, draw: random.Random) -> None:
        """Go back to an old cursor and to what was known then, as after a restored backup."""
        if self.past:
            self.known, self.model = deepcopy(draw.choice(self.past))

    async def fill_gaps(self) -> None:
        while self.model.gaps:
            name, (first, last) = self.model.gaps[0]
            page = await self.site.span(self.user_id, name, fromSeq=first, toSeq=last, size=3)
            self.model.conversations[name].fill(page)

    def _check(self, told: dict[str, Any], limit: int) -> None:
        name = told["conversationId"]
        assert told["reset"] is False
        if told["left"]:
            self.known.names.remove(name)  # told once
            self.known.reached.pop(name, None)
            return
        self.known.names.add(name)
        assert len(told["messages"]) <= limit
        participant = self.site.service.store.participants[self.user_id, name]
        if told["covers"] is not None:
            begins, ends = told["covers"]
            if told["gap"] is not None:
                assert told["gap"][1] + 1 == begins
                begins = told["gap"][0]
            reached = self.known.reached.get(name, 0)
            assert begins == max(reached, participant.floor_seq) + 1
            self.known.reached[name] = ends
        for message in told["messages"]:
            assert told["covers"][0] <= message["seq"] <= told["covers"][1]
        for message in told["changes"]:
            assert (message["messageId"], message["rev"]) not in self.known.revs
            self.known.revs.add((message["messageId"], message["rev"]))


class Life:
    """Let users do things at random; a number picks among what is there."""

    def __init__(self, seed: int) -> None:
        self.draw = random.Random(seed)
        self.site = SyncSite()
        self.clients = [Client(self.site, user_id) for user_id in USERS for _ in range(2)]
        self.sent: list[tuple[int, int]] = []  # sender, message id
        self.group_id = 0

    async def begin(self) -> None:
        self.group_id = await self.site.create_group(ALICE, BOB, history=History.JOINED)

    @property
    def group(self) -> str:
        return group_conversation(self.group_id)

    async def act(self, verb: str) -> None:
        self.site.tick(self.draw.choice([1, 5, 400]))
        with contextlib.suppress(ApiError):
            await getattr(self, f"_{verb}")()

    async def _send(self) -> None:
        sender, receiver = self.draw.sample(USERS, 2)
        for _ in range(self.draw.choice([1, 1, 4])):
            self.site.tick()
            wanted = to_bob(f"{len(self.sent)}", target_id=receiver)
            receipt = await send(self.site.backends, wanted, sender_id=sender)
            self.sent.append((sender, receipt.message_id))

    async def _send_to_group(self) -> None:
        sender = self.draw.choice(USERS)
        wanted = to_group(f"{len(self.sent)}", target_id=self.group_id)
        receipt = await send(self.site.backends, wanted, sender_id=sender)
        self.sent.append((sender, receipt.message_id))

    async def _recall(self) -> None:
        if self.sent:
            sender, message_id = self.draw.choice(self.sent)
            await recall(self.site.backends, message_id, user_id=sender)

    async def _delete(self) -> None:
        if self.sent:
            _, message_id = self.draw.choice(self.sent)
            await delete(self.site.backends, message_id, user_id=self.draw.choice(USERS))

    async def _consume(self) -> None:
        if not self.site.service.store.down:
            await self.site.service.consume()

    async def _clear(self) -> None:
        user_id, name = self._seat()
        await self.site.clear(user_id, name)

    async def _pin(self) -> None:
        user_id, name = self._seat()
        await self.site.pin(user_id, name, pinned=self.draw.random() < 0.5)

    async def _mark(self) -> None:
        user_id, name = self._seat()
        read_seq = self.draw.randrange(1, 9)
        marks = [Mark(user_id=user_id, conversation_id=name, read_seq=read_seq)]
        await mark(self.site.backends, marks, user_id=user_id)

    async def _leave(self) -> None:
        who = Actor(user_id=self.draw.choice([BOB, MALLORY]))
        await groups.leave(self.site.backends, self.group_id, actor=who)

    async def _invite(self) -> None:
        whom = self.draw.choice([BOB, MALLORY])
        actor = Actor(user_id=ALICE)
        await groups.invite(self.site.backends, self.group_id, [whom], actor=actor)

    async def _lose_cache(self) -> None:
        await self._consume()
        self.site.service.cache.run_out()

    async def _lose_store(self) -> None:
        """Let the database be away; at times the process knows no membership then."""
        self.site.service.store.down = True
        if self.draw.random() < 0.5:
            self.site.directory.forget_groups()

    async def _get_store_back(self) -> None:
        self.site.service.store.down = False

    async def _sync_on(self) -> None:
        """Let a client call as long as there is more, and expect an end."""
        client = self.draw.choice(self.clients)
        for _ in range(MOST_CALLS):
            if not await client.sync(self.draw):
                return
        raise AssertionError("a round never ends")

    async def _sync(self) -> None:
        await self.draw.choice(self.clients).sync(self.draw)

    async def _lose_answer(self) -> None:
        await self.draw.choice(self.clients).sync(self.draw, loses=True)

    async def _go_back(self) -> None:
        self.draw.choice(self.clients).go_back(self.draw)

    async def _fill_gaps(self) -> None:
        await self.draw.choice(self.clients).fill_gaps()

    def _seat(self) -> tuple[int, str]:
        one, other = self.draw.sample(USERS, 2)
        return one, self.draw.choice([self.group, chat(one, other)])

    async def check(self) -> None:
        """Check that each client ends with what a fresh reading gives."""
        self.site.service.store.down = False
        await self.site.service.consume()
        for client in self.clients:
            for _ in range(MOST_CALLS):
                if not await client.sync(self.draw) and not client.is_partial:
                    break
                self.site.tick(100)
            else:
                raise AssertionError("a client never has everything")
            for _ in range(CALLS_TO_KNOW):
                self.site.tick(1_000)
                await client.sync(self.draw)
            assert client.knows_its_list
            await client.fill_gaps()
            known = {n: each.in_order for n, each in client.model.conversations.items()}
            whole = await self._whole(client.user_id)
            assert known.keys() == whole.keys()
            for name, messages in known.items():
                assert messages == whole[name], name

    async def _whole(self, user_id: int) -> dict[str, list[Json]]:
        """Return the history of each conversation that the user belongs to."""
        whole = {}
        for (user, name), participant in self.site.service.store.participants.items():
            if user == user_id and participant.is_in:
                kind, target = ChatType.GROUP, self.group_id
                if not is_group(name):
                    (target,) = {int(party) for party in name.split("_")} - {user_id}
                    kind = ChatType.PRIVATE
                whole[name] = await self.site.whole_history(user_id, kind, target)
        return whole


VERBS = [name.removeprefix("_") for name in vars(Life) if name[0] == "_" and name[1] != "_"]
VERBS = sorted(set(VERBS) - {"seat", "whole"})
OFTEN = ["send", "send_to_group", "sync", "consume"]


async def live(verbs: Sequence[str], seed: int) -> None:
    life = Life(seed)
    await life.begin()
    for verb in verbs:
        await life.act(verb)
    await life.check()


@settings(max_examples=60)
@given(
    st.lists(st.sampled_from(VERBS + OFTEN * 2), min_size=20, max_size=80), st.integers(0, 2**32)
)
def test_clients_end_with_what_a_fresh_reading_gives(verbs: list[str], seed: int) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sync_round, "MAX_SYNCED_CONVERSATIONS", 2)
        patch.setattr(sync_round, "MAX_SYNCED_MESSAGES", 7)
        patch.setattr(windows, "MAX_SYNCED_CHANGES", 2)
        patch.setattr(windows, "MAX_SYNCED_DELETES", 1)
        VirtualLoop().play(live(verbs, seed))
