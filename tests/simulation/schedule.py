"""Run the schedule of one seed, or of many."""

from __future__ import annotations

import logging
import random
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass

from tests.simulation.loop import Stuck, VirtualLoop
from tests.simulation.record import BrokenPromise, ScheduleRecord
from tests.simulation.world import World

AT_ONCE = 20


@dataclass(frozen=True, slots=True)
class Failure:
    """Hold the seed and the violations of a schedule that broke a promise."""

    seed: int
    violations: Sequence[BrokenPromise]


def run(seed: int, *, report: Callable[[str], None] | None = None) -> list[BrokenPromise]:
    """Run a schedule and return the promises that it breaks; `report` is called with every step."""
    random.seed(seed)  # for the draws of the code under test
    loop = VirtualLoop()
    record = ScheduleRecord()
    loop.set_exception_handler(lambda _, context: record.violate("unforeseen error", f"{context}"))

    async def play() -> None:
        await World(loop, random.Random(seed), record, report).run()

    with _errors_noted(record):
        try:
            loop.play(play())
        except Stuck:
            record.violate("never ended", "nothing can happen any more")
    return record.violations


def run_many(seeds: range, *, processes: int) -> Iterator[tuple[int, list[Failure]]]:
    """Run schedules in the order of their seeds; yield the number done and the failures so far."""
    parts = [seeds[at : at + AT_ONCE] for at in range(0, len(seeds), AT_ONCE)]
    failures: list[Failure] = []
    pool = ProcessPoolExecutor(processes)
    try:
        for part, found in zip(parts, pool.map(_run_part, parts), strict=True):
            failures += found
            yield part[-1] - seeds[0] + 1, failures
    finally:
        pool.shutdown(cancel_futures=True)


def _run_part(seeds: range) -> list[Failure]:
    return [Failure(seed, found) for seed in seeds if (found := run(seed))]


class _Errors(logging.Handler):
    """Record as a violation each error logged with a traceback, which nobody foresaw."""

    def __init__(self, record: ScheduleRecord) -> None:
        super().__init__(logging.ERROR)
        self._record = record

    def emit(self, logged: logging.LogRecord) -> None:
        if logged.exc_info:
            self._record.violate(
                "unforeseen error", f"{logged.getMessage()}: {logged.exc_info[1]!r}"
            )


@contextmanager
def _errors_noted(record: ScheduleRecord) -> Iterator[None]:
    """Record logged errors, and write no log meanwhile: a schedule's trace says more."""
    logger = logging.getLogger("messaging")
    level, propagate, handlers = logger.level, logger.propagate, logger.handlers
    logger.handlers, logger.propagate = [_Errors(record)], False
    logger.setLevel(logging.ERROR)
    try:
        yield
    finally:
        logger.handlers, logger.propagate = handlers, propagate
        logger.setLevel(level)
