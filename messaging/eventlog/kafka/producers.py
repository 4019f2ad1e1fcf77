"""Connect aiokafka's producers, and end them. Only `kafka.writer` uses the module."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Sequence

from aiokafka import AIOKafkaProducer
from aiokafka.errors import KafkaError

from messaging.links import KafkaLink, reason

logger = logging.getLogger(__name__)

BATCH_BYTES = 128 * 1024


class Producers:
    """Start the producers of one process, and end each that is given up.

    The arguments are those of `kafka.writer.KafkaEventLog`.
    """

    def __init__(self, link: KafkaLink, *, topics: Sequence[str], timeout_s: float) -> None:
        self._link = link
        self._topics = set(topics)
        self._timeout_s = timeout_s
        self._ending: set[asyncio.Task[None]] = set()  # stops of earlier producers

    async def start(self) -> AIOKafkaProducer | None:
        """Return a connected producer; None when no connection can be made in time."""
        attempt_s = self._timeout_s / 4  # a batch may wait for one attempt and then have its own
        producer = AIOKafkaProducer(
            bootstrap_servers=list(self._link.servers),
            **self._link.security,
            acks="all",
            enable_idempotence=False,
            max_batch_size=BATCH_BYTES,
            request_timeout_ms=round(attempt_s * 1000),
            retry_backoff_ms=100,
            metadata_max_age_ms=30_000,
        )
        start = asyncio.create_task(producer.start())
        try:
            async with asyncio.timeout(self._timeout_s):
                await asyncio.shield(start)
                await producer.client.set_topics(self._topics)
        except (KafkaError, OSError, TimeoutError) as exc:
            logger.warning(
                "cannot connect to Kafka; trying again",
                extra={"action": "log.unavailable", "reason": reason(exc)},
            )
            await self._abandon(producer, start)
            return None
        except asyncio.CancelledError:
            await self._abandon(producer, start)
            raise
        return producer

    # A start or a stop is never cancelled, because aiokafka would leave its connections open. Each
    # ends by itself: the answers that it waits for expire within the time of two attempts.

    async def _abandon(self, producer: AIOKafkaProducer, start: asyncio.Task[None]) -> None:
        await asyncio.wait([start], timeout=self._timeout_s)
        self.end(producer)
        await self.ended()

    def end(self, producer: AIOKafkaProducer) -> None:
        """Begin to stop a producer; `ended` waits for the stop."""
        stop = asyncio.create_task(_stop(producer))
        self._ending.add(stop)
        stop.add_done_callback(self._ending.discard)

    async def ended(self) -> None:
        """Wait until the producers that were given up have stopped, `timeout_s` at most."""
        if stops := list(self._ending):
            _, late = await asyncio.wait(stops, timeout=self._timeout_s)
            if late:
                logger.warning(
                    "Kafka producer did not stop in time", extra={"action": "log.not_stopped"}
                )


async def _stop(producer: AIOKafkaProducer) -> None:
    try:
        await producer.stop()
    except (KafkaError, OSError) as exc:
        logger.warning(
            "Kafka producer failed while it was closed",
            extra={"action": "log.not_stopped", "error": type(exc).__name__},
        )
