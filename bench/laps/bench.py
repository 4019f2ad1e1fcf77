"""Give the scenarios the accounts of the run, and one lap of load after the other."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from contextlib import nullcontext
from dataclasses import dataclass, replace
from pathlib import Path

from bench.check.ledger import Ledger
from bench.laps import accounts, noop_server, processes
from bench.laps.measurement import Measurement, Run
from bench.laps.stored_lag import StoredLag
from bench.laps.watch import Watch
from bench.load import run as load_run
from bench.load.plan import LapPlan
from bench.load.receipts import MAX_LAPS
from bench.load.traffic import Account, TargetSite
from messaging.conf import settings
from messaging.progress import Progress

WARM_CONNECTIONS = 64


class Refused(Exception):
    """Report that a scenario or the whole run makes no sense here.

    The text says why and what to do.
    """


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """Hold the options that the person at the command line has chosen."""

    host: str
    port: int
    connections: Sequence[int]
    seconds: float
    warm_s: float
    warm_service_s: float
    rates: Sequence[float]
    users: int
    group_members: int
    text_bytes: int
    load_processes: int
    sends: int
    minutes: float
    patience_s: float


class Bench:
    """Measure the laps of one run: results are in `run`, receipts in `ledger`.

    `standard` is a lap of private messages, sent as fast as they are answered; scenarios change it.
    """

    def __init__(self, options: Options, run: Run, directory: Path, progress: Progress) -> None:
        self.options = options
        self.run = run
        self.progress = progress
        self.ledger = Ledger(directory, run=run.name, text_bytes=options.text_bytes)
        pairs = accounts.make_pairs(run.name, options.users)
        self.ledger.expect(pairs)
        self.standard = LapPlan(
            site=TargetSite(
                host=options.host,
                port=options.port,
                run=run.name,
                lap=0,
                text_bytes=options.text_bytes,
            ),
            accounts=pairs,
            connections=options.connections[-1],
            seconds=options.seconds,
            warm_s=options.warm_s,
            load_processes=options.load_processes,
        )
        self._group_accounts: list[Account] = []
        self._crowd: list[Account] = []
        self._lap = 0
        self._noop_rates: dict[int, float] = {}

    @property
    def group_accounts(self) -> Sequence[Account]:
        """Return the same users, each pair in a group of its own that is pinned to sync mode."""
        if not self._group_accounts:
            self._group_accounts = accounts.make_groups(self.run.name, self.standard.accounts)
            self.ledger.expect(self._group_accounts)
        return self._group_accounts

    @property
    def crowd(self) -> Sequence[Account]:
        """Return users of the standard lap again, in one group of `group_members`, async."""
        if not self._crowd:
            size = self.options.group_members
            title = f"making a group of {size:,}"
            self.progress.begin(title)

            def tell(made: int) -> None:
                self.progress.update(made / (2 * size), f"{made:,} of {2 * size:,} rows")

            senders = self.standard.accounts[:size]
            self._crowd = accounts.make_crowd(self.run.name, senders, size, tell=tell)
            self.ledger.expect(self._crowd)
        return self._crowd

    def measure(
        self,
        name: str,
        title: str,
        plan: LapPlan,
        *,
        until_stored: bool = True,
        has_receipts: bool = True,
    ) -> Measurement:
        """Run one lap and, unless told otherwise, wait until its messages are stored.

        Raises: LoadFailed when the load itself breaks down.
        """
        self._lap += 1
        assert self._lap < MAX_LAPS
        plan = replace(plan, site=replace(plan.site, lap=self._lap))
        receipts = self.ledger.lap_file(self._lap) if has_receipts else None
        self.progress.begin(title)
        with self.watch() as seen, StoredLag(seen) if plan.rate else nullcontext():
            try:
                result = load_run.run(plan, receipts=receipts, progress=self._teller(plan))
            finally:
                self.ledger.add(self._lap)
            drained_s = self.await_stored() if until_stored else None
        measurement = Measurement(
            name=name,
            title=title,
            connections=plan.connections,
            offered=plan.rate,
            result=result,
            seen=seen,
            drained_s=drained_s,
            noop_rate=None if plan.is_paced else self._noop_rates.get(plan.connections),
        )
        return self.keep(measurement)

    def warm_up(self) -> None:
        """Load the service until its parts are warm, which takes the virtual machine of Kafka long.

        The lap is kept in the results, and no goal judges it.
        """
        if seconds := self.options.warm_service_s:
            connections = min(WARM_CONNECTIONS, self.standard.connections)
            plan = replace(self.standard, connections=connections, seconds=seconds, warm_s=0.0)
            self.measure("warm-up", f"warming up for {seconds:g} s", plan)

    def measure_noop(self, connections: int) -> None:
        """Measure a bare no-op over so many connections, unless this run has its rate already."""
        if connections in self._noop_rates:
            return
        workers = len(processes.find(self.options.port)["web"]) or noop_server.WORKERS
        title = f"bare no-op, {connections} connections"
        with noop_server.serving(workers) as port:
            site = replace(self.standard.site, host=noop_server.HOST, port=port)
            plan = replace(self.standard, site=site, connections=connections)
            name = f"noop-{connections}"
            noop = self.measure(name, title, plan, until_stored=False, has_receipts=False)
        self._noop_rates[connections] = noop.rate

    def keep(self, measurement: Measurement) -> Measurement:
        """Remember a measurement, and show its line."""
        self.run.measurements.append(measurement)
        self.progress.end(measurement.line())
        return measurement

    def watch(self) -> Watch:
        return Watch(
            processes.find(self.options.port),
            settings().redis_url,
            timeout_s=settings().redis_timeout_s,
        )

    def await_stored(self) -> float:
        """Wait until everything acknowledged so far is stored, and return the seconds waited."""
        started = time.monotonic()

        def tell(stored: int, sent: int) -> None:
            self.progress.update(stored / sent if sent else 1.0, f"{stored:,} of {sent:,} stored")

        self.ledger.await_stored(patience_s=self.options.patience_s, tell=tell)
        return time.monotonic() - started

    def _teller(self, plan: LapPlan) -> Callable[[int, int], None]:
        started = time.monotonic()

        def tell(answered: int, errors: int) -> None:
            passed_s = time.monotonic() - started
            fraction = passed_s / (plan.warm_s + plan.seconds)
            if plan.limit:
                fraction = max(fraction, answered / plan.limit)
            failed = f", {errors:,} errors" if errors else ""
            self.progress.update(fraction, f"{answered:,} answered{failed}")

        return tell
