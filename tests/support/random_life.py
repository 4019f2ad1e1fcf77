"""Let users of a service do things at random, over the parts of any stack."""

from __future__ import annotations

import contextlib
import random
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

from messaging.domain.conversation_requests import SetRequest
from messaging.domain.conversations import Mark
from messaging.domain.errors import ApiError
from messaging.domain.groups import History, JoinMode, Role
from messaging.domain.ids import conversation_id, group_conversation
from messaging.domain.message import ChatType, MsgType
from messaging.domain.requests import Ack, SendRequest
from messaging.service import groups
from messaging.service.backends import Backends
from messaging.service.conversation_settings import clear, set_state
from messaging.service.delete import delete
from messaging.service.group_rules import Actor
from messaging.service.marks import mark
from messaging.service.recall import recall
from messaging.service.send import send
from tests.support.every_view import Look, Target


class Stack(Protocol):
    """Name what a life needs of the parts that it runs on."""

    processes: Sequence[Backends]

    async def tick(self, ms: int) -> None:
        """Let time pass."""

    async def consume(self) -> None:
        """Store what is pending, if the database is there."""

    async def age(self) -> None:
        """Let the cache lose all that ages."""

    async def heal(self) -> None:
        """End all outages."""

    async def all_ids(self) -> list[int]:
        """Return the ids of all messages of this life's group and users."""


@dataclass
class Life:
    """Act as three users, who write to each other and in a group; a seed picks what is done."""

    stack: Stack
    users: Sequence[int]
    draw: random.Random
    group_id: int = 0
    compared: int = 0

    def __post_init__(self) -> None:
        self.sent: list[int] = []
        self.named: list[tuple[int, SendRequest]] = []
        self.cursors: dict[int, str] = {}

    @property
    def process(self) -> Backends:
        return self.draw.choice(self.stack.processes)

    async def begin(self) -> None:
        fields = {
            "name": "group",
            "history": self.draw.choice([History.ALL, History.JOINED]),
            "join_mode": JoinMode.OPEN,
        }
        owner, member, _ = self.users
        judged = await groups.create_group(
            self.stack.processes[0], fields, actor=Actor(user_id=owner), user_ids=[member]
        )
        self.group_id = judged.changed.group.id

    async def act(self, verb: str) -> None:
        """Do one thing; a refusal is as good as anything."""
        await self.stack.tick(self.draw.choice([1, 5, 400]))
        call: Callable[[], Awaitable[object]] = getattr(self, f"_{verb}")
        with contextlib.suppress(ApiError):
            await call()

    async def look(self, user_id: int, backends: Backends) -> Look:
        """Compare all views of one user; return what could not be fetched meanwhile."""
        look = Look(backends, user_id, self._targets(user_id), self.cursors.get(user_id))
        with contextlib.suppress(ApiError):  # nobody can tell now what the user may fetch
            await look.compare(await self.stack.all_ids())
        self.compared += look.compared
        return look

    async def check(self) -> None:
        """Compare all views of all users at rest: pending, stored, and out of the database."""
        await self.stack.heal()
        for step in (self.stack.consume, self.stack.age, self.stack.consume):
            for user_id in self.users:
                for backends in self.stack.processes:
                    look = await self.look(user_id, backends)
                    await look.check_unknown()
            await step()

    def _targets(self, user_id: int) -> list[Target]:
        others = [(ChatType.PRIVATE, other) for other in self.users if other != user_id]
        return [*others, (ChatType.GROUP, self.group_id)]

    def _seat(self) -> tuple[int, str]:
        user_id = self.draw.choice(self.users)
        kind, target = self.draw.choice(self._targets(user_id))
        return user_id, conversation_id(chat_type=kind, user_id=user_id, target_id=target)

    async def _look(self) -> None:
        look = await self.look(self.draw.choice(self.users), self.process)
        if look.unknown:
            await self.stack.heal()
            await look.check_unknown()

    async def _keep_cursor(self) -> None:
        user_id = self.draw.choice(self.users)
        look = Look(self.process, user_id, self._targets(user_id))
        self.cursors[user_id] = await look.sync_cursor()

    async def _send(self) -> None:
        sender, receiver = self.draw.sample(list(self.users), 2)
        for _ in range(self.draw.choice([1, 1, 4])):
            await self.stack.tick(1)
            await self._say(sender, ChatType.PRIVATE, receiver)

    async def _send_to_group(self) -> None:
        await self._say(self.draw.choice(self.users), ChatType.GROUP, self.group_id)

    async def _send_again(self) -> None:
        if self.named:
            sender, wanted = self.draw.choice(self.named)
            receipt = await send(self.process, wanted, sender_id=sender)
            self.sent.append(receipt.message_id)

    async def _say(self, sender: int, kind: ChatType, target: int) -> None:
        is_named = self.draw.random() < 0.3
        wanted = SendRequest(
            chat_type=kind,
            target_id=target,
            msg_type=MsgType.TEXT,
            content=f"text {len(self.sent)}",
            url=None,
            at_user_ids=(),
            client_msg_id=f"c{len(self.sent)}" if is_named else None,
            ack=Ack.LOG,
        )
        if is_named:
            self.named.append((sender, wanted))
        receipt = await send(self.process, wanted, sender_id=sender)
        self.sent.append(receipt.message_id)

    async def _recall(self) -> None:
        if self.sent:
            message_id = self.draw.choice(self.sent[-self.draw.choice([6, 60]) :])
            for user_id in self.users:  # by its sender, or one above
                with contextlib.suppress(ApiError):
                    await recall(self.process, message_id, user_id=user_id)

    async def _delete(self) -> None:
        if self.sent:
            message_id = self.draw.choice(self.sent[-6:])
            await delete(self.process, message_id, user_id=self.draw.choice(self.users))

    async def _clear(self) -> None:
        user_id, name = self._seat()
        await clear(self.process, name, user_id=user_id)

    async def _hide(self) -> None:
        user_id, name = self._seat()
        wanted = SetRequest(conversation_id=name, hidden=self.draw.random() < 0.5)
        await set_state(self.process, wanted, user_id=user_id)

    async def _mark(self) -> None:
        user_id, name = self._seat()
        marks = [Mark(user_id=user_id, conversation_id=name, read_seq=self.draw.randrange(1, 9))]
        await mark(self.process, marks, user_id=user_id)

    async def _join(self) -> None:
        who = Actor(user_id=self.draw.choice(self.users))
        await groups.join(self.process, self.group_id, "", actor=who)

    async def _leave(self) -> None:
        who = Actor(user_id=self.draw.choice(self.users[1:]))
        await groups.leave(self.process, self.group_id, actor=who)

    async def _invite(self) -> None:
        whom = self.draw.choice(self.users[1:])
        await groups.invite(self.process, self.group_id, [whom], actor=self._owner)

    async def _remove(self) -> None:
        whom = self.draw.choice(self.users[1:])
        await groups.remove(
            self.process, self.group_id, [whom], bans=self.draw.random() < 0.3, actor=self._owner
        )

    async def _unban(self) -> None:
        await groups.unban(self.process, self.group_id, self.users[1:], actor=self._owner)

    async def _mute(self) -> None:
        whom, for_s = self.draw.choice(self.users[1:]), self.draw.choice([0, 60])
        await groups.mute(self.process, self.group_id, whom, for_s, actor=self._owner)

    async def _set_role(self) -> None:
        whom, role = self.draw.choice(self.users[1:]), self.draw.choice([Role.ADMIN, Role.MEMBER])
        await groups.set_role(self.process, self.group_id, whom, role, actor=self._owner)

    async def _dissolve(self) -> None:
        if self.draw.random() < 0.2:  # nothing is said in the group from then on
            await groups.dissolve(self.process, self.group_id, actor=self._owner)

    async def _consume(self) -> None:
        await self.stack.consume()

    async def _age(self) -> None:
        await self.stack.consume()
        await self.stack.age()

    async def _heal(self) -> None:
        await self.stack.heal()

    @property
    def _owner(self) -> Actor:
        return Actor(user_id=self.users[0])

    @property
    def group(self) -> str:
        return group_conversation(self.group_id)


HELPERS = {"seat", "say", "targets", "owner"}
VERBS = sorted(
    name[1:] for name in vars(Life) if name[0] == "_" and name[1] != "_" and name[1:] not in HELPERS
)
OFTEN = ["send", "send_to_group", "look", "consume", "recall", "delete", "clear", "keep_cursor"]
