"""Ask every source in the background, each by itself, and keep the last answers."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Sequence
from dataclasses import dataclass

from messaging.domain.backend_errors import BackendError
from messaging.exporter.asked import Answers
from messaging.exporter.sources import Source
from messaging.links import reason

logger = logging.getLogger(__name__)

EVERY_S = 5.0
TIMEOUT_S = 2.0
STALE_AFTER_S = 15.0  # an answer so old is none: the exporter itself stood still


@dataclass(frozen=True, slots=True)
class _Asked:
    at_s: float  # monotonic
    answers: Answers | None  # None: the source failed


class Asking:
    """Keep the answers of the sources, from `run` on."""

    def __init__(self, sources: Sequence[Source]) -> None:
        self._sources = sources
        self._asked: dict[str, _Asked] = {}

    async def run(self) -> None:
        """Ask until cancelled; no source waits for another."""
        async with asyncio.TaskGroup() as tasks:
            for source in self._sources:
                tasks.create_task(self._keep_asking(source))

    def answers(self) -> dict[str, Answers | None]:
        """Return the last answers by the name of the source; None where the source failed.

        A source that was not asked yet is left out. Any thread may call this method.
        """
        now_s = time.monotonic()
        return {
            name: each.answers if now_s - each.at_s <= STALE_AFTER_S else None
            for name, each in list(self._asked.items())
        }

    async def _keep_asking(self, source: Source) -> None:
        while True:
            due_s = time.monotonic() + EVERY_S
            answers = await self._ask(source)
            self._asked[source.name] = _Asked(time.monotonic(), answers)
            await asyncio.sleep(max(0.0, due_s - time.monotonic()))

    async def _ask(self, source: Source) -> Answers | None:
        """Return the answers; None, and a line in the log at the first of a row, without any."""
        try:
            async with asyncio.timeout(TIMEOUT_S):
                return await source.ask()
        except (BackendError, TimeoutError) as error:
            why = reason(error)
        except Exception as error:
            # A fault in one question may not blind the others, least of all during an outage.
            logger.exception(
                "a source of the exporter has a fault",
                extra={"action": "exporter.source_fault", "source": source.name},
            )
            why = type(error).__name__
        last = self._asked.get(source.name)
        if last is None or last.answers is not None:
            logger.warning(
                "a source of the exporter does not answer; asking again every few seconds",
                extra={
                    "action": "exporter.source_failed",
                    "source": source.name,
                    "reason": why,
                },
            )
        return None
