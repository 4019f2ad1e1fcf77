"""Run the whole service over in-memory ports, for tests of use cases and pipelines."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass, field, replace

from msgspec import structs

from messaging.conf import Settings
from messaging.domain.changes import Change
from messaging.domain.ids import SnowflakeIdGenerator, WorkerLease, time_of_id
from messaging.domain.message import ChatType, Message, MsgType
from messaging.domain.requests import Ack, HistoryRequest, SendRequest
from messaging.pipeline.compensation import Compensator, Sweep
from messaging.pipeline.consumer import Consumer
from messaging.runtime.assembly import assemble, compensator, sweep
from messaging.testing.cache import MemoryCache
from messaging.testing.conversations import MemoryConversations
from messaging.testing.directory import MemoryDirectory
from messaging.testing.groups import MemoryGroups
from messaging.testing.inspectors import MemoryLogInspector
from messaging.testing.log import MemoryBroker, MemoryEventLog, MemoryLogReader
from messaging.testing.store import MemoryStore
from tests.support.messages import FIRST_ID, make_message

NOW_MS = time_of_id(FIRST_ID)
ALICE, BOB, MALLORY = 1, 2, 3
GROUP = 7
SETTINGS = Settings(
    redis_url="redis://unused",
    event_log_url="redis://unused",
    log_timeout_s=0.5,
    store_ack_timeout_s=0.3,
    read_rate=0,
    change_rate=0,
    lookup_rate=0,
    consumer_interval_s=0.0,
    consumer_poll_s=0.01,
    dead_letters_in_a_row=3,
    compensate_after_s=30,
)


@dataclass
class Clock:
    """Stand still as a wall clock until a test sets `now_ms`."""

    now_ms: int = NOW_MS

    def __call__(self) -> int:
        return self.now_ms


@dataclass
class MemoryService:
    """Hold the parts of a service in memory, and the steps that a test makes with them."""

    settings: Settings = SETTINGS
    clock: Clock = field(default_factory=Clock)
    broker: MemoryBroker = field(default_factory=MemoryBroker)
    cache: MemoryCache = field(default_factory=MemoryCache)
    store: MemoryStore = field(default_factory=MemoryStore)

    def __post_init__(self) -> None:
        self.log = MemoryEventLog(self.broker)
        self.groups = MemoryGroups(self.store, users=dict.fromkeys((ALICE, BOB, MALLORY), True))
        self.directory = self.open_directory()
        self.conversations = MemoryConversations(self.store)
        self.published: list[Change] = []
        self.ids = SnowflakeIdGenerator(clock_ms=self.clock)
        self.ids.use(WorkerLease(node=0, owner="me", valid_until_s=float("inf"), fenced=True))
        self.leases_taken = 0
        self.node = assemble(
            cache=self.cache,
            log=self.log,
            store=self.store,
            directory=self.directory,
            groups=self.groups,
            conversations=self.conversations,
            publish=self._publish,
            ids=self.ids,
            settings=self.settings,
            open_inspector=lambda: MemoryLogInspector(
                self.broker, self.settings.topic, self.settings.consumer_group
            ),
            clock_ms=self.clock,
        )
        self.backends = self.node.backends
        self.hints, self.acceptor = self.backends.hints, self.backends.acceptor
        self.guarded_cache = self.backends.cache
        self.acceptor.commit.renew_lease = self._take_lease
        self.consumer = self.new_consumer()

    def open_directory(self) -> MemoryDirectory:
        return MemoryDirectory(users={ALICE, BOB, MALLORY}, groups={GROUP: {ALICE, BOB}})

    async def _publish(self, changes: Sequence[Change]) -> None:
        self.published += changes

    async def _take_lease(self) -> None:
        self.leases_taken += 1
        self.ids.use(
            WorkerLease(node=self.leases_taken, owner="me", valid_until_s=float("inf"), fenced=True)
        )

    def new_consumer(self) -> Consumer:
        reader = MemoryLogReader(
            self.broker, topic=self.settings.topic, group=self.settings.consumer_group
        )
        return Consumer(
            reader=reader,
            log=self.log,
            cache=self.cache,
            store=self.store,
            settings=self.settings,
        )

    async def consume(self) -> None:
        """Run the consumer until the log has nothing more for it."""
        while await self.consumer.step():
            pass

    def compensator(self) -> Compensator:
        return compensator(self.backends)

    async def sweep(self) -> Sweep:
        return await sweep(self.backends)

    def restarted_with(self, **settings: object) -> MemoryService:
        """Return a service over the same stores with other settings."""
        changed = replace(self.settings, **settings)  # type: ignore[arg-type]
        return MemoryService(changed, self.clock, self.broker, self.cache, self.store)


def to_bob(content: str = "hello", **changes: object) -> SendRequest:
    request = SendRequest(
        chat_type=ChatType.PRIVATE,
        target_id=BOB,
        msg_type=MsgType.TEXT,
        content=content,
        url=None,
        at_user_ids=(),
        client_msg_id=None,
        ack=Ack.LOG,
    )
    return structs.replace(request, **changes)  # type: ignore[arg-type]


def to_group(content: str = "hello", **changes: object) -> SendRequest:
    return structs.replace(
        to_bob(content), **{"chat_type": ChatType.GROUP, "target_id": GROUP} | changes
    )


def with_bob(**changes: object) -> HistoryRequest:
    request = HistoryRequest(
        chat_type=ChatType.PRIVATE, target_id=BOB, size=20, page=None, before_id=None
    )
    return structs.replace(request, **changes)  # type: ignore[arg-type]


def with_group(**changes: object) -> HistoryRequest:
    return structs.replace(
        with_bob(), **{"chat_type": ChatType.GROUP, "target_id": GROUP} | changes
    )


_numbers = itertools.count(1)


def message(content: str = "hello", **changes: object) -> Message:
    """Return a message from alice to bob with an id of its own; `client_msg_id` may be given."""
    return structs.replace(make_message(next(_numbers), content=content), **changes)  # type: ignore[arg-type]
