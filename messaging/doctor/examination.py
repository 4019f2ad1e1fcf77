"""Make the checks one after the other, each within a bound."""

from __future__ import annotations

import contextlib
import logging
import queue
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future
from functools import partial
from typing import TypeVar

from messaging.doctor import (
    database,
    host,
    kafka_group,
    messages,
    processes,
    redis,
    security,
    settings,
)
from messaging.doctor.checks import Check
from messaging.doctor.surroundings import Surroundings
from messaging.doctor.verdicts import Finding, LeftOut, NotSeen, Report, Verdict, fail

logger = logging.getLogger(__name__)
Result = TypeVar("Result")

CLOSING_S = 2.0
CHECKS: tuple[Check, ...] = (
    *settings.CHECKS,
    *host.CHECKS,
    *redis.CHECKS,
    *kafka_group.CHECKS,
    *database.CHECKS,
    *processes.CHECKS,
    *messages.CHECKS,
    *security.CHECKS,
)
AREAS = tuple(dict.fromkeys(check.area for check in CHECKS))


def examine(areas: Sequence[str] = AREAS) -> Report:
    """Make the checks of these areas, and return the report.

    Each check ends within its bound, and changes nothing.
    """
    chosen = [check for check in CHECKS if check.area in areas]
    results = list(_Examiner().make(chosen))
    return Report(
        tuple(each for each in results if isinstance(each, Finding)),
        tuple(each for each in results if isinstance(each, LeftOut)),
    )


class _Examiner:
    """Run checks on a thread that is given up, with its connections, when a check is late."""

    def __init__(self) -> None:
        self._surroundings = Surroundings()
        self._thread = _CallingThread()

    def make(self, checks: Sequence[Check]) -> Iterator[Finding | LeftOut]:
        for check in checks:
            try:
                verdict = self._verdict(check)
            except NotSeen as unseen:
                yield LeftOut(check.area, check.name, str(unseen))
            else:
                if verdict is not None:
                    yield Finding(
                        check.area, check.name, verdict.state, verdict.found, verdict.remedy
                    )
        self._end()

    def _verdict(self, check: Check) -> Verdict | None:
        try:
            return self._thread.call(partial(check.look, self._surroundings), check.bound_s)
        except TimeoutError:
            self._thread.end()
            self._surroundings, self._thread = Surroundings(), _CallingThread()
            return fail(
                f"The check did not end within {check.bound_s:g} s.",
                f"manage.py doctor --only {check.area}",
            )
        except NotSeen:
            raise
        except Exception as error:  # a doctor that stops at the first surprise helps nobody
            logger.exception(
                "a check of the doctor failed itself",
                extra={"action": "doctor.check_failed", "area": check.area, "check": check.name},
            )
            return fail(
                f"The check itself ended with {type(error).__name__}; the log has the traceback.",
                f"manage.py doctor --only {check.area}",
            )

    def _end(self) -> None:
        with contextlib.suppress(TimeoutError):
            self._thread.call(self._surroundings.close, CLOSING_S)
        self._thread.end()


class _CallingThread:
    """Run calls on one thread, because a database connection belongs to its thread.

    The thread is a daemon: a call that hangs does not hold up the end of the process.
    """

    def __init__(self) -> None:
        self._calls: queue.SimpleQueue[Callable[[], None] | None] = queue.SimpleQueue()
        threading.Thread(target=self._run, name="doctor", daemon=True).start()

    def call(self, function: Callable[[], Result], timeout_s: float) -> Result:
        """Return the result of the function.

        Raises: the error of the function; TimeoutError. Leaves: the call running, then.
        """
        future: Future[Result] = Future()

        def run() -> None:
            try:
                future.set_result(function())
            except Exception as error:  # noqa: BLE001  # raised where the caller waits
                future.set_exception(error)

        self._calls.put(run)
        return future.result(timeout_s)

    def end(self) -> None:
        """End the thread after the call that runs."""
        self._calls.put(None)

    def _run(self) -> None:
        while (call := self._calls.get()) is not None:
            call()
