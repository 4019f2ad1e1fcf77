"""Send, read, recall and delete as users, and record what the users are told."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable, Callable
from dataclasses import replace
from random import Random
from typing import TYPE_CHECKING, TypeVar

from messaging.domain.errors import (
    AlreadyRecalled,
    ApiError,
    GroupDissolved,
    MessageNotFound,
    MutedInGroup,
    NotAMember,
)
from messaging.domain.ids import conversation_id
from messaging.domain.message import ChatType, Message, MsgType
from messaging.domain.requests import Ack, HistoryRequest, SendRequest
from messaging.service.backends import Backends
from messaging.service.delete import delete
from messaging.service.fetch import fetch
from messaging.service.history import HistoryPage, history
from messaging.service.recall import recall
from messaging.service.receipts import Receipt
from messaging.service.send import send
from tests.simulation.group_acts import NEVER
from tests.simulation.record import Answer, Read, Said, Total

if TYPE_CHECKING:
    from tests.simulation.hosts import WebHost
    from tests.simulation.world import World

T = TypeVar("T")

TRIES = 3
CLIENT_TIMEOUT_S = 15.0  # of a door, which cancels the use case then
CANCELLED_WITHIN_S = 1.0
WHOLE = 100
RETRIABLE = (429, 503)
GROUP_REFUSALS = (NotAMember, MutedInGroup, GroupDissolved)
BAD = "bad data"  # the store refuses a content that begins so


class NoAnswer(Exception):
    """Report that the process died, or that the door gave up: nobody knows what was done."""


class SimulatedClient:
    """Do one thing after the other as one user."""

    def __init__(self, world: World, user: int, random: Random | None = None) -> None:
        self._world, self._user = world, user
        self._random, self._record = random or world.random, world.record
        self._was_early = False  # the last process asked had not opened its front door

    async def run(self, operations: int) -> None:
        kinds = (self._send, self._read, self._walk, self._fetch, self._recall, self._delete)
        for _ in range(operations):
            await asyncio.sleep(self._random.choice((0.0, 0.02, 0.3, 1.0)) * self._random.random())
            (kind,) = self._random.choices(kinds, (9, 4, 2, 2, 4, 2))
            await kind()

    async def _send(self, target: tuple[ChatType, int] | None = None) -> None:
        said = self._say(target)
        request = SendRequest(
            chat_type=said.chat_type,
            target_id=said.target,
            msg_type=MsgType.TEXT,
            content=said.content,
            url=None,
            at_user_ids=(),
            client_msg_id=said.client_msg_id,
            ack=self._random.choice((Ack.LOG, Ack.LOG, Ack.CACHE, Ack.STORE)),
        )
        for _ in range(TRIES if said.client_msg_id else 1):
            host = self._random.choice(self._world.webs)
            life = host.life
            said.attempts.append(self._record.tick())
            said.answered.append(NEVER)
            receipt = await self._ask(lambda b: send(b, request, sender_id=self._user), host)
            if receipt is not None:
                said.answered[-1] = self._record.tick()
                self._note_ack(said, receipt)
                said.accepted_by.setdefault(receipt.message_id, life)
                if self._random.random() < 0.85:  # else the client has missed the answer
                    return
            await asyncio.sleep(self._random.random())

    def _say(self, at: tuple[ChatType, int] | None) -> Said:
        number, bad = len(self._record.said), self._random.random() < 0.03
        chat_type, target = at or self._random.choice(self._world.targets_of(self._user))
        said = Said(
            content=f"{BAD if bad else 'said'} {number}",
            sender=self._user,
            target=target,
            chat_type=chat_type,
            conversation=conversation_id(chat_type=chat_type, user_id=self._user, target_id=target),
            client_msg_id=f"c{number}" if self._random.random() < 0.8 else None,
            is_bad_data=bad,
        )
        self._record.said.append(said)
        return said

    def _note_ack(self, said: Said, receipt: Receipt) -> None:
        if receipt.message_id not in said.ids:
            said.ids.append(receipt.message_id)
        said.durabilities.append(receipt.durability)
        if said.acknowledged is None:
            said.acknowledged = self._record.tick()

    async def _recall(self) -> None:
        mine = [s for s in self._record.said if s.ids and s.sender == self._user]
        if not mine:
            return
        said = self._random.choice(mine)
        message_id = self._random.choice(said.ids)
        for _ in range(TRIES):
            said.recall_begun = True
            if await self._ask(self._recalls(message_id)):
                if said.recalled is None:
                    said.recalled = self._record.tick()
                return

    def _recalls(self, message_id: int) -> Callable[[Backends], Awaitable[bool]]:
        async def ask(backends: Backends) -> bool:
            with contextlib.suppress(AlreadyRecalled):  # an acknowledgement, too
                await recall(backends, message_id, user_id=self._user)
            return True

        return ask

    async def _delete(self) -> None:
        known = [s for s in self._record.said if s.ids and self._is_participant(s)]
        if not known:
            return
        said = self._random.choice(known)
        message_id = self._random.choice(said.ids)

        async def ask(backends: Backends) -> bool:
            await delete(backends, message_id, user_id=self._user)
            return True

        for _ in range(TRIES):
            said.delete_begun.add(self._user)
            if await self._ask(ask):
                if self._user not in said.deleted:
                    said.deleted[self._user] = self._record.tick()
                return

    def _is_participant(self, said: Said) -> bool:
        mine = [self._conversation(*target) for target in self._world.targets_of(self._user)]
        return said.conversation in mine

    def _conversation(self, chat_type: ChatType, target: int) -> str:
        return conversation_id(chat_type=chat_type, user_id=self._user, target_id=target)

    async def _read(self) -> None:
        await self.read(*self._random.choice(self._world.targets_of(self._user)))

    async def read(self, chat_type: ChatType, target: int) -> Read | None:
        """Read the whole history with this target on one page."""
        read = self._begin_read(self._conversation(chat_type, target))
        page = await self._page(read, (chat_type, target), size=WHOLE, before=None)
        if page is None:
            return None
        read.seen, read.partial = page.messages, page.partial
        read.whole = True
        return read

    async def read_below(self, read: Read, chat_type: ChatType, target: int) -> None:
        """Read a page by cursor, from the middle of an earlier read."""
        before = read.seen[len(read.seen) // 2].id
        await self._page(read, (chat_type, target), size=1, before=before)

    async def _walk(self) -> None:
        """Read the whole history, a few messages a page."""
        chat_type, target = self._random.choice(self._world.targets_of(self._user))
        read = self._begin_read(self._conversation(chat_type, target))
        size = self._random.choice((1, 2, 3))
        before = None
        while page := await self._page(read, (chat_type, target), size=size, before=before):
            read.seen = [*read.seen, *page.messages]
            read.partial |= page.partial
            before = page.next_before_id
            if before is None:
                read.whole = True
                return

    def _begin_read(self, conversation: str) -> Read:
        read = self._new_read(conversation)
        self._record.reads.append(read)
        return read

    def _new_read(self, conversation: str) -> Read:
        return Read(
            reader=self._user,
            conversation=conversation,
            begun=self._record.tick(),
            stored={row.id: row.is_recalled for row in self._world.store.rows.values()},
            orphaned=self._orphaned(),
        )

    def _orphaned(self) -> set[int]:
        known = self._world.store.rows.keys() | self._world.cache.details.keys()
        accepted = [pair for said in self._record.said for pair in said.accepted_by.items()]
        alone = not self._world.cache_is_known_to_recover
        return {i for i, life in accepted if (alone or life.is_dead) and i not in known}

    async def _page(
        self, read: Read, target: tuple[ChatType, int], *, size: int, before: int | None
    ) -> HistoryPage | None:
        request = HistoryRequest(
            chat_type=target[0], target_id=target[1], size=size, page=None, before_id=before
        )
        self._was_early, begun = False, self._record.tick()
        page = await self._ask(lambda b: history(b, request, reader_id=self._user))
        if page is None:
            return None
        if self._was_early:  # no client gets this page; the walk goes on, so that the draws stay
            return replace(page, messages=(), partial=True)
        read.answers.append(Answer(begun, self._record.tick(), page.messages))
        if not page.partial:
            read.totals.append(Total(begun, self._record.tick(), page.total))
        return page

    async def _fetch(self) -> None:
        known = [s for s in self._record.said if s.ids and self._is_participant(s)]
        if not known:
            return
        said = self._random.choice(known)
        read = self._begin_read(said.conversation)
        message_id = said.ids[0]
        self._was_early, begun = False, self._record.tick()
        message = await self._ask(lambda b: fetch(b, message_id, reader_id=self._user))
        if message is not None and not self._was_early:
            read.seen = [message]
            read.answers.append(Answer(begun, self._record.tick(), read.seen))

    async def resolve(self, message_id: int) -> Message | None:
        """Return the message that this user gets for an id; None when no message is found."""
        for _ in range(TRIES):
            try:
                return await self._asked(
                    lambda b: fetch(b, message_id, reader_id=self._user), self._world.webs[0]
                )
            except MessageNotFound:
                return None
            except (NoAnswer, ApiError) as error:
                self._world.trace("", f"{message_id} is not known yet: {error!r}")
                await asyncio.sleep(1.0)
        self._record.violate("no answer at rest", f"user {self._user}, {message_id}")
        return None

    async def _ask(
        self, use_case: Callable[[Backends], Awaitable[T]], host: WebHost | None = None
    ) -> T | None:
        """Return the answer of a process.

        Return None when a retry might help, and when the message is not there. Any other error is
        recorded as a violation.
        """
        try:
            return await self._asked(use_case, host or self._random.choice(self._world.webs))
        except (NoAnswer, MessageNotFound):
            return None
        except ApiError as error:
            may_be_out = isinstance(error, GROUP_REFUSALS) and self._record.acts
            if error.http_status not in RETRIABLE and not may_be_out:
                self._record.violate("refused", f"{type(error).__name__} to user {self._user}")
            return None

    async def _asked(self, use_case: Callable[[Backends], Awaitable[T]], host: WebHost) -> T:
        life = host.life
        if life.is_dead:
            raise NoAnswer
        self._was_early |= not host.serves
        call = asyncio.ensure_future(use_case(host.backends))
        self._world.keep(call, life)
        await asyncio.wait(
            (call, life.died), timeout=CLIENT_TIMEOUT_S, return_when=asyncio.FIRST_COMPLETED
        )
        if not call.done() and not life.is_dead:
            call.cancel()
            await asyncio.wait(
                (call, life.died),
                timeout=CANCELLED_WITHIN_S,
                return_when=asyncio.FIRST_COMPLETED,
            )
            if not call.done() and not life.is_dead and not life.was_paused:
                self._record.violate("never ended", f"a request of user {self._user}")
        if not call.done() or call.cancelled():
            raise NoAnswer
        error = call.exception()
        if error is not None and not isinstance(error, ApiError):
            raise NoAnswer  # `World.keep` has noted it
        return call.result()
