"""Send record batches to Kafka's brokers, one request at a time to each broker.

A request takes all that waits for its broker, of every partition that the broker leads, so a group
of records costs one request. aiokafka connects, signs in, and knows the partitions' leaders.
aiokafka's own producer would cost twice as much CPU for a group.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Callable, Collection, Mapping, Sequence
from typing import TypeAlias

from aiokafka.client import AIOKafkaClient
from aiokafka.errors import (
    KafkaError,
    LeaderNotAvailableError,
    RequestTimedOutError,
    UnknownError,
    for_code,
)
from aiokafka.structs import TopicPartition

from messaging.domain.backend_errors import BackendError
from messaging.eventlog.kafka.batch import RecordBatch
from messaging.eventlog.kafka.lane import Lane
from messaging.eventlog.kafka.produce import Produce
from messaging.ports.log import Confirmation, OutgoingRecord

logger = logging.getLogger(__name__)

RETRY_S = 0.1
Outcome: TypeAlias = KafkaError | int  # an error of the broker, or the offset of the first record
WhenMade = Callable[[RecordBatch], None]
WhenSettled = Callable[[RecordBatch, BackendError | None], None]


class Outbox:
    """Send batches over one client until it is closed, and send a batch again after passing errors.

    `timeout_s`: of one request.
    `on_made`: called with each new batch.
    `on_settled`: called with each batch that the outbox has ended, and the batch's error or None.
    A batch whose confirmation its owner has ended is sent no more.
    """

    def __init__(
        self,
        client: AIOKafkaClient,
        *,
        timeout_s: float,
        on_made: WhenMade,
        on_settled: WhenSettled,
    ) -> None:
        self._client = client
        self._timeout_ms = round(timeout_s * 1000)
        self._on_made = on_made
        self._on_settled = on_settled
        self._lanes: dict[TopicPartition, Lane] = {}
        self._senders: dict[int | None, asyncio.Task[None]] = {}  # by broker
        self._is_closed = False

    async def connect(self, topics: Sequence[str]) -> None:
        """Connect to a broker, and learn the partitions of these topics.

        Raises: KafkaError, OSError.
        """
        await self._client.bootstrap()
        await self._client.set_topics(topics)

    async def hand_over(
        self, topic: str, parts: Mapping[int, Sequence[OutgoingRecord]], deadline_s: float
    ) -> dict[int, list[Confirmation]]:
        """Hand over the records of each partition, and return their confirmations by partition.

        The confirmations are in the order of the records. A partition has fewer confirmations than
        records where the deadline came first.
        """
        sent: dict[int, list[Confirmation]] = {partition: [] for partition in parts}
        lanes = {partition: self._lane(topic, partition) for partition in parts}
        for partition, lane in lanes.items():
            lane.take(parts[partition], sent[partition])
        self._send_due()
        if rest := [p for p in parts if len(sent[p]) < len(parts[p])]:
            # The calls run concurrently, so that a partition whose leader is away does not delay
            # the others.
            calls = [lanes[p].take_in_turn(parts[p], sent[p]) for p in rest]
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout_at(deadline_s):
                    await asyncio.gather(*calls)
        return sent

    async def partitions_of(self, topic: str, deadline_s: float) -> int:
        """Return the broker's number of partitions; 0 when the topic is unknown."""
        known = self._client.cluster.partitions_for_topic(topic)
        if known is None:
            self._client.add_topic(topic)
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout_at(deadline_s):
                    await self._client.force_metadata_update()
            known = self._client.cluster.partitions_for_topic(topic)
        return len(known or ())

    async def ping(self) -> None:
        """Return when a broker answers. Raises: KafkaError."""
        await self._client.fetch_all_metadata()

    async def sent(self) -> None:
        """Return when no batch waits and none is under way."""
        while self._senders:
            await asyncio.wait(self._senders.values())

    async def close(self) -> None:
        """Send nothing more, wait for the requests under way, and close the client.

        Leaves: the batches that wait are failed, and each later one at once. Safe to repeat.
        """
        self._is_closed = True
        await self.sent()
        self._send_due()
        await self._client.close()

    def _lane(self, topic: str, partition: int) -> Lane:
        place = TopicPartition(topic, partition)
        lane = self._lanes.get(place)
        if lane is None:
            lane = self._lanes[place] = Lane(place, self._on_made, self._send_due)
        return lane

    def _leader(self, lane: Lane) -> int | None:
        broker: int | None = self._client.cluster.leader_for_partition(lane.place)
        return None if broker == -1 else broker

    def _send_due(self) -> None:
        """Start a sender for each broker that is to get a batch and has no sender.

        A closed outbox fails what is due.
        """
        for lane in self._lanes.values():
            while lane.is_due and self._is_closed:
                self._settle(lane, lane.next(), RequestTimedOutError())
            if lane.is_due and (broker := self._leader(lane)) not in self._senders:
                self._senders[broker] = asyncio.create_task(self._keep_sending(broker))

    async def _keep_sending(self, broker: int | None) -> None:
        """Send to a broker until nothing waits for it; broker None stands for an unknown leader."""
        try:
            while batches := self._next(broker):
                outcomes = await self._request(broker, batches.values())
                again = [
                    lane
                    for lane, batch in batches.items()
                    if self._settle(lane, batch, outcomes.get(batch.place, UnknownError()))
                ]
                if again:
                    self._client.force_metadata_update()
                    await asyncio.sleep(RETRY_S)
        finally:
            del self._senders[broker]
            self._send_due()

    def _next(self, broker: int | None) -> dict[Lane, RecordBatch]:
        """Return a batch of each partition that this broker leads, where one waits."""
        batches = {}
        for lane in self._lanes.values():
            if lane.is_due and not self._is_closed and self._leader(lane) == broker:
                batch = lane.next()
                if batch.confirmation.done():  # given up
                    lane.sent()
                else:
                    batches[lane] = batch
        return batches

    async def _request(
        self, broker: int | None, batches: Collection[RecordBatch]
    ) -> Mapping[TopicPartition, Outcome]:
        """Send one request with these batches, and return the outcome of each partition."""
        data = {batch.place: batch.data() for batch in batches}
        if broker is None:
            return dict.fromkeys(data, LeaderNotAvailableError())
        try:
            answer = await self._client.send(broker, Produce(data, timeout_ms=self._timeout_ms))
        except KafkaError as error:
            return dict.fromkeys(data, error)
        except Exception:  # without senders no record would be sent any more
            logger.exception("a request to Kafka failed", extra={"action": "log.request_failed"})
            return {}
        return {
            place: for_code(placed.error)() if placed.error else placed.offset
            for place, placed in answer.items()
        }

    def _settle(self, lane: Lane, batch: RecordBatch, outcome: Outcome) -> bool:
        """End a batch or keep it for another request, and tell whether it is kept."""
        if batch.confirmation.done():
            lane.sent()
        elif isinstance(outcome, int):
            lane.sent()
            batch.confirm(outcome)
            self._on_settled(batch, None)
        elif outcome.retriable and not self._is_closed:
            lane.give_back(batch)
            return True
        else:
            lane.sent()
            self._on_settled(batch, batch.refuse(outcome))
        return False
