"""Connect outboxes to Kafka, and end them. Only `kafka.writer` uses the module."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Sequence

from aiokafka.client import AIOKafkaClient
from aiokafka.errors import KafkaError

from messaging.eventlog.kafka.outbox import RETRY_S, Outbox, WhenMade, WhenSettled
from messaging.links import KafkaLink, reason

logger = logging.getLogger(__name__)


class Outboxes:
    """Connect the outboxes of one process, one after the other, and end each that is given up.

    `topics`, `timeout_s`: as of `kafka.writer.KafkaEventLog`.
    `on_made`, `on_settled`: as of `Outbox`.
    """

    def __init__(
        self,
        link: KafkaLink,
        *,
        topics: Sequence[str],
        timeout_s: float,
        on_made: WhenMade,
        on_settled: WhenSettled,
    ) -> None:
        self._link = link
        self._topics = topics
        self._timeout_s = timeout_s
        self._on_made, self._on_settled = on_made, on_settled
        self._ending: set[asyncio.Task[None]] = set()  # closes of earlier outboxes

    async def open(self) -> Outbox | None:
        """Return a connected outbox; None when no connection can be made in time."""
        outbox = self._new()
        connecting = asyncio.create_task(outbox.connect(self._topics))
        try:
            async with asyncio.timeout(self._timeout_s):
                await asyncio.shield(connecting)
        except (KafkaError, OSError, TimeoutError) as exc:
            logger.warning(
                "cannot connect to Kafka; trying again",
                extra={"action": "log.unavailable", "reason": reason(exc)},
            )
            await self._abandon(outbox, connecting)
            return None
        except asyncio.CancelledError:
            await self._abandon(outbox, connecting)
            raise
        return outbox

    def _new(self) -> Outbox:
        request_s = self._timeout_s / 4  # a batch may wait for one request and then have its own
        client = AIOKafkaClient(
            bootstrap_servers=list(self._link.servers),
            **self._link.security,
            request_timeout_ms=round(request_s * 1000),
            retry_backoff_ms=round(RETRY_S * 1000),
            metadata_max_age_ms=30_000,
        )
        return Outbox(
            client, timeout_s=request_s, on_made=self._on_made, on_settled=self._on_settled
        )

    # Neither connecting nor closing is ever cancelled, because aiokafka would leave its connections
    # open. Each ends by itself: the answers that it waits for expire within the time of two
    # requests.

    async def _abandon(self, outbox: Outbox, connecting: asyncio.Task[None]) -> None:
        connecting.add_done_callback(_note_failure)
        await asyncio.wait([connecting], timeout=self._timeout_s)
        self.end(outbox)
        await self.ended()

    def end(self, outbox: Outbox) -> None:
        """Begin to close an outbox; `ended` waits for the close."""
        close = asyncio.create_task(_close(outbox))
        self._ending.add(close)
        close.add_done_callback(self._ending.discard)

    async def ended(self) -> None:
        """Wait until the outboxes that were given up are closed, `timeout_s` at most."""
        if closes := list(self._ending):
            _, late = await asyncio.wait(closes, timeout=self._timeout_s)
            if late:
                logger.warning(
                    "Kafka's client did not close in time", extra={"action": "log.not_stopped"}
                )


def _note_failure(connecting: asyncio.Task[None]) -> None:
    """Retrieve the exception, which asyncio would log as never retrieved."""
    if not connecting.cancelled():
        connecting.exception()


async def _close(outbox: Outbox) -> None:
    try:
        await outbox.close()
    except (KafkaError, OSError) as exc:
        logger.warning(
            "Kafka's client failed while it was closed",
            extra={"action": "log.not_stopped", "error": type(exc).__name__},
        )
