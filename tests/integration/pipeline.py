"""Run consumers on real Kafka, Redis and the database in force, and check their work."""

from __future__ import annotations

import asyncio
import contextlib
import time
import uuid
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, field, replace

from kafka import TopicPartition
from kafka.admin import KafkaAdminClient
from kafka.errors import KafkaError
from msgspec import structs
from pytest_django import Settings

from messaging.cache.redis_cache import RedisMessageCache
from messaging.conf import settings
from messaging.domain.events import encode_event
from messaging.domain.message import Message
from messaging.eventlog import open_log
from messaging.eventlog.kafka.reader import KafkaLogReader
from messaging.eventlog.kafka.topics import create_kafka_topics
from messaging.links import KafkaLink
from messaging.pipeline.consumer import Consumer
from messaging.ports.cache import MessageCache
from messaging.ports.log import EventLog, OutgoingRecord
from messaging.ports.store import MessageStore
from messaging.runtime import adapters
from messaging.store.database import DatabaseStore

PARTITIONS = 4
MAX_POLL_INTERVAL_S = 2.0  # the group puts out a consumer that is silent for this long
DRAINED_WITHIN_S = 60.0  # a broker that was killed takes long to start on a busy machine


@dataclass
class Pipeline:
    """Hold one topic, the ports to write and read with, and consumers of the topic's group."""

    link: KafkaLink
    topic: str
    log: EventLog
    cache: MessageCache
    store: MessageStore
    admin: KafkaAdminClient
    consumers: list[Consumer] = field(default_factory=list)
    at_work: set[asyncio.Task[None]] = field(default_factory=set)

    def make_topics(self) -> None:
        topics = [self.topic, settings().dead_letter_topic]
        create_kafka_topics(self.link, topics=topics, partitions=PARTITIONS)

    def consumer(self, *, session_s: float = 6.0) -> Consumer:
        """Add a consumer to the group, with ports of its own as a process has them."""
        consumer = adapters.open_consumer()
        consumer.reader = KafkaLogReader(
            self.link,
            topic=self.topic,
            group=self.topic,
            max_poll_interval_s=MAX_POLL_INTERVAL_S,
            session_s=session_s,
        )
        self.consumers.append(consumer)
        return consumer

    @contextlib.asynccontextmanager
    async def running(self, consumer: Consumer) -> AsyncIterator[None]:
        """Run the consumer until the block ends; raise the consumer's error."""
        work = asyncio.create_task(consumer.run())
        self.at_work.add(work)
        try:
            yield
        finally:
            consumer.stop.set()
            await asyncio.wait_for(work, 20)
            self.at_work.remove(work)

    async def accept(self, messages: Sequence[Message]) -> None:
        """Accept messages as a send leaves them: pending in Redis, confirmed by the log."""
        await self.cache.accept(messages, None)
        await self.append(*messages)

    async def append(self, *messages: Message) -> None:
        await self.append_values(*((m.conversation_id, encode_event(m)) for m in messages))

    async def append_values(self, *records: tuple[str, bytes]) -> None:
        group = [OutgoingRecord(key.encode(), value) for key, value in records]
        # A partition takes no more than it has room for, and refuses the rest until later.
        while group:
            futures = await self.log.append(self.topic, group)
            ended = await asyncio.gather(*futures, return_exceptions=True)
            group = [r for r, o in zip(group, ended, strict=True) if isinstance(o, Exception)]

    async def await_drained(self, *, within_s: float = DRAINED_WITHIN_S) -> None:
        """Wait until no message is pending and everything in the topic is committed."""
        deadline = time.monotonic() + within_s
        while (pending := await self.cache.pending_count()) or await self.lag():
            assert not any(work.done() for work in self.at_work), "a consumer has ended"
            left = f"{pending} pending, {await self.lag()} not committed"
            assert time.monotonic() < deadline, left
            await asyncio.sleep(0.05)

    async def lag(self) -> int:
        """Return the number of records that the group has not committed."""
        return await asyncio.to_thread(self._lag)

    def _lag(self) -> int:
        committed = self.committed()
        ends = self.ends(self.topic)
        return sum(end - committed.get(partition, 0) for partition, end in ends.items())

    def committed(self) -> dict[int, int]:
        try:
            found = self.admin.list_group_offsets({self.topic: None})[self.topic]
        except KafkaError:  # the first group of a new broker waits for its coordinator
            return {}
        return {p.partition: int(o.offset) for p, o in found.items() if o.offset >= 0}

    def ends(self, topic: str) -> dict[int, int]:
        places = {TopicPartition(topic, p): -1 for p in range(PARTITIONS)}
        found = self.admin.list_partition_offsets(places)
        return {p.partition: int(o.offset) for p, o in found.items()}

    def members(self) -> set[str]:
        """Return the members by the broker's count; one that was put out returns under a new id."""
        (group,) = self.admin.describe_groups([self.topic]).values()
        return {member["member_id"] for member in group["members"]}

    async def rows(self, messages: Sequence[Message]) -> list[Message]:
        found = await self.store.get([m.id for m in messages])
        return [found[m.id] for m in messages]

    async def check_stored(self, messages: Sequence[Message]) -> None:
        """Check that each message has its row as sent, and that `seq`s have no gap."""
        rows = await self.rows(messages)
        assert [structs.replace(row, seq=None, rev=0) for row in rows] == list(messages)
        seqs: dict[str, list[int]] = {}
        for row in rows:
            seqs.setdefault(row.conversation_id, []).append(row.seq or 0)
        for conversation_id, given in seqs.items():
            assert sorted(given) == list(range(1, len(given) + 1)), conversation_id
            tail = await self.store.tail(conversation_id, limit=1)
            assert tail.total == len(given)

    async def close(self) -> None:
        for consumer in self.consumers:
            await adapters.close_consumer(consumer)
        for port in (self.log, self.cache, self.store):
            await port.close()
        self.admin.delete_topics([self.topic, settings().dead_letter_topic])
        self.admin.close()


@contextlib.asynccontextmanager
async def pipeline(url: str, current: Settings, **changes: object) -> AsyncIterator[Pipeline]:
    """Open a pipeline on its own topic and group at this Kafka, with `changes` to the settings.

    The settings are in force until the end of the test (`current` is pytest-django's).
    """
    link = KafkaLink((url.removeprefix("kafka://"),))
    topic = f"test-{uuid.uuid4().hex[:12]}"
    ours = {
        "event_log_url": url,
        "topic": topic,
        "dead_letter_topic": f"{topic}-dead",
        "consumer_group": topic,
        "partitions": PARTITIONS,
        "send_rate": 0.0,
        "log_timeout_s": 2.0,
    }
    current.IM = replace(current.IM, **(ours | changes))
    opened = Pipeline(
        link,
        topic,
        log=open_log(url, settings()),
        cache=RedisMessageCache(settings()),
        store=DatabaseStore(settings()),
        admin=KafkaAdminClient(bootstrap_servers=link.servers),
    )
    opened.make_topics()
    try:
        yield opened
    finally:
        await opened.close()
