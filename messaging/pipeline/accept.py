"""Queue new sends, and process them in groups: one commit for many messages.

The send use case calls `Acceptor.accept`. A lone send is processed at once; while a group is being
processed, new sends gather into the next group. Under load a group waits a moment until it is about
as large as the group before, because a group costs more than its messages do. An Acceptor belongs
to one event loop. `commit` makes a group durable.
"""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from dataclasses import dataclass, field

from messaging.conf import Settings
from messaging.domain.deadline_queue import DeadlineQueue
from messaging.domain.errors import ApiError, QueueFull, SendFailed
from messaging.domain.events import encode_message
from messaging.domain.message import Message
from messaging.domain.requests import Ack
from messaging.metrics.catalogue import accept_group_size, accept_step_seconds
from messaging.pipeline.commit import GroupCommit
from messaging.pipeline.queued_send import Accepted, QueuedSend

logger = logging.getLogger(__name__)

TURN_TIMEOUT_S = 0.15  # past it the next group no longer waits for the one before
MOST_GROUPS = 8  # processed at the same time
GATHER_S = 0.002  # the longest wait for more sends
EXPIRE_EVERY_S = 0.05


@dataclass(slots=True)
class Acceptor:
    """Accept messages for asynchronous persistence, or refuse them within `send_timeout_s`."""

    commit: GroupCommit
    settings: Settings
    _queue: deque[QueuedSend] = field(default_factory=deque)
    _turns: asyncio.Task[None] | None = None  # takes the next group
    _tasks: set[asyncio.Task[None]] = field(default_factory=set)  # it, and those that are held up
    _last_size: int = 0  # of the last group
    _last_end_s: float = 0.0
    _gathered: asyncio.Event = field(default_factory=asyncio.Event)
    _deadlines: DeadlineQueue[QueuedSend] = field(
        default_factory=lambda: DeadlineQueue(_give_up, pause_s=EXPIRE_EVERY_S)
    )

    async def accept(
        self,
        message: Message,
        *,
        ack: Ack,
        deadline_s: float | None = None,
        asked_after: int | None = None,
        past_cache: bool = False,
    ) -> Accepted:
        """Make a new message durable, as far as `ack` asks for and the log's budget allows.

        The call ends by `deadline_s`, in the event loop's time, or within `send_timeout_s` when no
        deadline is given. The accepted message has another id than the given one when the lease of
        the given id was lost. Cancelling the call leaves the other messages of its group alone.
        `asked_after` and `past_cache` are as in `QueuedSend`.

        Raises: QueueFull when too many sends wait; TooManyRequests when the sender is too fast;
        TooMuchPending; RightsDoubted when the sender's access to the group has to be asked for
        afresh; IdsUnavailable; SendFailed when no part confirmed the message in time.
        Leaves: a failed message may still appear, so a retry needs the same clientMsgId.
        """
        if len(self._queue) >= self.settings.accept_queue:
            raise QueueFull
        loop = asyncio.get_running_loop()
        answer: asyncio.Future[Accepted] = loop.create_future()
        if deadline_s is None:
            deadline_s = loop.time() + self.settings.send_timeout_s
        send = QueuedSend(
            message,
            ack,
            answer,
            encode_message(message),
            deadline_s,
            asked_after,
            past_cache,
            queued_s=loop.time(),
        )
        self._queue.append(send)
        self._deadlines.add(send, deadline_s)
        if self._turns is None:
            self._begin_turns()
        elif len(self._queue) >= self._last_size:
            self._gathered.set()
        try:
            return await answer
        finally:
            self._deadlines.discard(send)

    async def close(self) -> None:
        """Wait for all queued and started groups, each of which its backends' time limits bound."""
        while self._tasks:
            await asyncio.wait(self._tasks)

    def _begin_turns(self) -> None:
        """Start to take groups, unless no send waits or too many groups are held up."""
        if self._queue and len(self._tasks) < MOST_GROUPS:
            self._turns = asyncio.create_task(self._take_turns())
            self._tasks.add(self._turns)
            self._turns.add_done_callback(self._end_turns)

    def _end_turns(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if self._turns is task:
            self._turns = None
        if self._turns is None:
            self._begin_turns()

    def _pass_on(self, held_up: asyncio.Task[None]) -> None:
        """Let another task take the next group, because this task's group takes too long."""
        if self._turns is held_up:
            self._turns = None
            self._begin_turns()

    async def _take_turns(self) -> None:
        """Process the queue one group at a time, until the queue is empty.

        Two groups at once would be smaller, and a group costs more than its messages do. A group
        that takes longer than `TURN_TIMEOUT_S` is held up by an outage: the next one does not wait
        for it.
        """
        loop, this_task = asyncio.get_running_loop(), asyncio.current_task()
        assert this_task is not None
        while self._queue and self._turns is this_task:
            await self._gather()
            size = min(len(self._queue), self.settings.accept_group)
            group = [send for _ in range(size) if not (send := self._queue.popleft()).answer.done()]
            if not group:
                continue
            accept_group_size.observe(len(group))
            accept_step_seconds.observe(loop.time() - group[0].queued_s, "wait")
            late = loop.call_later(TURN_TIMEOUT_S, self._pass_on, this_task)
            await self._process(group)
            late.cancel()
            self._last_size, self._last_end_s = size, loop.time()

    async def _gather(self) -> None:
        """Wait under load for as many sends as the last group had, `GATHER_S` at most."""
        loop = asyncio.get_running_loop()
        if len(self._queue) >= self._last_size or loop.time() - self._last_end_s > GATHER_S:
            return
        self._gathered.clear()
        enough = loop.call_later(GATHER_S, self._gathered.set)
        await self._gathered.wait()
        enough.cancel()

    async def _process(self, group: list[QueuedSend]) -> None:
        try:
            await self.commit.run(group)
        except ApiError as error:
            for send in group:
                send.fail(error)
        except Exception:  # the groups behind must have a turn, whatever happened
            logger.exception("a group failed", extra={"action": "accept.group_failed"})
        finally:
            for send in group:
                if not send.answer.done():
                    send.fail(SendFailed())


def _give_up(overdue: QueuedSend) -> None:
    overdue.fail(SendFailed())
