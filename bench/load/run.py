"""Start the load processes of one run, hear their reports, and merge their results."""

from __future__ import annotations

import multiprocessing
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import replace
from multiprocessing.connection import wait
from pathlib import Path

from bench.load import process
from bench.load.plan import LapPlan, LoadResult
from bench.load.schedule import NANOSECONDS

START_S = 0.1  # in which all processes connect
START_LIMIT_S = 30.0
END_LIMIT_S = 120.0  # a virtual machine may stand still for half a minute
POLL_S = 0.1


class LoadFailed(Exception):
    """Report a load process that ended without a result, or did not start or end in time."""


class LoadChild:
    """Control a load process, and hold its last report."""

    def __init__(self, plan: LapPlan, receipts_in: Path | None) -> None:
        self.told = (0, 0)
        self.result = LoadResult()
        self.is_running = True
        context = multiprocessing.get_context("spawn")  # a fork would have all of Django in it
        self.pipe, its_end = context.Pipe()
        arguments = (its_end, plan, receipts_in)
        self._process = context.Process(target=process.main, args=arguments, daemon=True)
        try:
            self._process.start()
        except OSError as error:
            raise LoadFailed("a load process died before it had its plan") from error
        finally:
            its_end.close()

    def hear(self) -> None:
        """Take in the next report.

        Raises: LoadFailed when the process ends without a result.
        """
        try:
            report = self.pipe.recv()
        except (EOFError, OSError) as error:
            raise LoadFailed(
                "a load process ended without a result; its own words are above"
            ) from error
        if isinstance(report, LoadResult):
            self.result = report
            self.is_running = False
        else:
            self.told = report

    def await_ready(self) -> None:
        """Wait until the process says that it is ready.

        Raises: LoadFailed when the process ends before, or takes too long.
        """
        if not self.pipe.poll(START_LIMIT_S):
            raise LoadFailed("a load process did not start in time")
        self.hear()

    def end(self) -> None:
        """Kill the process unless it has told its result and ends by itself."""
        if self.is_running:
            self._process.kill()
        self._process.join()
        self.pipe.close()


def run(
    plan: LapPlan, *, receipts: Path | None, progress: Callable[[int, int], None]
) -> LoadResult:
    """Run the plan and return the merged result.

    `progress` is called several times a second with the counts of answered and of failed requests.
    With `receipts`, each process writes its acknowledged messages to `<receipts>.<n>`.

    Raises: LoadFailed when a process dies or does not end in time.
    """
    children = []
    try:
        for place in range(plan.load_processes):
            path = receipts and receipts.with_name(f"{receipts.name}.{place}")
            children.append(LoadChild(_part(plan, place), path))
        for child in children:
            child.await_ready()
        for place, child in enumerate(children):
            with suppress(BrokenPipeError):  # hear() says that the process has died
                child.pipe.send(_start_ns(plan, place))
        _listen(children, plan, progress)
    finally:
        for child in children:
            child.end()
    total = LoadResult()
    for child in children:
        total.add(child.result)
    return total


def _part(plan: LapPlan, place: int) -> LapPlan:
    """Return the part of the plan that the process in this place has."""
    count = plan.load_processes
    return replace(
        plan,
        accounts=plan.accounts[place::count],
        connections=len(range(place, plan.connections, count)),
        rate=plan.rate / count if plan.rate else None,
        limit=len(range(place, plan.limit, count)) if plan.limit is not None else None,
    )


def _start_ns(plan: LapPlan, place: int) -> int:
    """Return when the process in this place starts: the processes of an open loop take turns."""
    turn_s = place / plan.rate if plan.rate else 0.0
    return time.perf_counter_ns() + int((START_S + turn_s) * NANOSECONDS)


def _listen(
    children: Sequence[LoadChild], plan: LapPlan, progress: Callable[[int, int], None]
) -> None:
    """Report progress until all processes have their results.

    Raises: LoadFailed when a process dies, or when the load does not end in time.
    """
    limit_s = plan.warm_s + plan.seconds + plan.timeout_s + END_LIMIT_S
    deadline = time.monotonic() + limit_s
    while running := [child for child in children if child.is_running]:
        if time.monotonic() > deadline:
            raise LoadFailed(f"the load did not end within {limit_s:.0f} s")
        ready = wait([child.pipe for child in running], POLL_S)
        for child in running:
            if child.pipe in ready:
                child.hear()
        told = [child.told for child in children]
        progress(sum(answered for answered, _ in told), sum(errors for _, errors in told))
