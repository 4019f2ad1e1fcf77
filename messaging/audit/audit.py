"""Run one audit, from the first walk to the report."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from messaging.audit import sources
from messaging.audit.accounting import Accounting
from messaging.audit.check import AT_ONCE, AuditBackends, Check
from messaging.audit.deletes import CachedDeletes
from messaging.audit.details import Details
from messaging.audit.findings import Findings, Subject, Suspect
from messaging.audit.groups import Groups, Members, Participants, Parties
from messaging.audit.letters import Letters
from messaging.audit.listings import CachedListings
from messaging.audit.lists import Lists, PendingLists, RecallMarks
from messaging.audit.report import Report
from messaging.audit.rows import Numbers, Rows
from messaging.audit.sources import LogRecords, Walk
from messaging.domain.batched import batched
from messaging.domain.ids import first_id_at
from messaging.progress import Progress

SETTLE_AT = 10_000  # suspects in memory
REPEATS = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class AuditPlan:
    """Hold the options of an audit.

    `settle_s` passes before each of three repeats of a check. `since_ms` selects the rows,
    conversations and log records from then on; None selects all. `whole_log` adds the committed
    records. `repair` mends what can be mended. `stuck_s` is the age up to which a pending message
    is no finding. `examples` of each kind are named.
    """

    settle_s: float = 2.0
    since_ms: int | None = None
    whole_log: bool = False
    receipts: Path | None = None
    repair: bool = False
    stuck_s: float = 300.0
    examples: int = 10


class Audit:
    """Run every check beside a live service.

    Raises: CacheUnavailable, LogUnavailable or StoreUnavailable when a backend cannot be read;
    BadReceipts.
    Leaves: everything that was mended before the error stays mended.
    """

    def __init__(self, backends: AuditBackends, plan: AuditPlan, progress: Progress) -> None:
        self._backends = backends
        self._plan = plan
        self._progress = progress
        self._findings = Findings()
        self._records = LogRecords(backends.log, whole=plan.whole_log, since_ms=plan.since_ms)

    async def run(self) -> Report:
        clock_ms = self._backends.compensator.clock_ms
        started_ms = clock_ms()
        accountings = self._accountings()
        for check in accountings:
            await self._run_check(check)
        since_id = first_id_at(self._plan.since_ms) if self._plan.since_ms is not None else 0
        await self._run_check(Letters(self._backends, self._records.poison))
        # Check rows before the cache, because the cache is mended after the rows.
        await self._run_check(Rows(self._backends, since_id=since_id))
        await self._run_check(Numbers(self._backends, since_id=since_id))
        await self._run_check(Groups(self._backends))
        await self._run_check(Members(self._backends))
        await self._run_check(Parties(self._backends, since_id=since_id))
        await self._run_check(Participants(self._backends, clock_ms=clock_ms))
        await self._run_check(Details(self._backends))
        await self._run_check(RecallMarks(self._backends))
        await self._run_check(PendingLists(self._backends))
        await self._run_check(Lists(self._backends))
        await self._run_check(CachedDeletes(self._backends))
        await self._run_check(CachedListings(self._backends))
        oldest = await self._backends.cache.pending(before_ms=sources.END_OF_TIME_MS, limit=1)
        return Report(
            started_ms=started_ms,
            took_ms=clock_ms() - started_ms,
            fates={each.title: dict(each.fates) for each in accountings},
            findings=self._findings,
            pending=await self._backends.cache.pending_count(),
            oldest_pending_ms=clock_ms() - oldest[0].send_time if oldest else None,
            lag=dict(self._records.lag),
            unreadable=self._records.unreadable,
            repaired=self._plan.repair,
            examples=self._plan.examples,
        )

    def _accountings(self) -> list[Accounting]:
        backends, plan = self._backends, self._plan
        walks: dict[str, Walk] = {
            "pending set": partial(sources.pending, backends.cache),
            "cached details": partial(sources.details, backends.cached),
            "cached idempotency records": partial(sources.idempotency_records, backends.cached),
            "log": self._records.walk,
        }
        if plan.receipts is not None:
            walks["receipts"] = partial(sources.receipts, plan.receipts)
        return [
            Accounting(
                title,
                walk,
                backends,
                stuck_ms=round(plan.stuck_s * 1000),
                on_search=lambda records: self._progress.update(
                    0.0, f"searching the log: {records:,} records"
                ),
            )
            for title, walk in walks.items()
        ]

    async def _run_check(self, check: Check[Subject]) -> None:
        self._progress.begin(check.title)
        examined = 0
        suspects: list[Suspect[Subject]] = []
        async for step in check.walk():
            examined += step.examined
            suspects += step.suspects
            self._progress.update(step.done, f"{examined:,}")
            if len(suspects) >= SETTLE_AT:
                await self._settle(check, suspects)
                suspects = []
        found = await self._settle(check, suspects)
        self._progress.end(f"{check.title}: {examined:,} looked at{_told(found)}")

    async def _settle(self, check: Check[Subject], suspects: Sequence[Suspect[Subject]]) -> int:
        """Judge the suspects three times more, mend if planned, and return how many are wrong."""
        for repeat in range(REPEATS):
            if not suspects:
                return 0
            self._progress.update(repeat / REPEATS, f"looking again at {len(suspects):,}")
            await asyncio.sleep(self._plan.settle_s)
            suspects = await _judge(check, suspects)
        if not suspects or not (found := await check.conclude(suspects)):
            return 0
        left: Sequence[Suspect[Subject]] = found
        if self._plan.repair:
            for piece in batched(found, AT_ONCE):
                await check.mend(piece)
            left = await _judge(check, found)
        check.leave(left)
        self._findings.add(found, left)
        return len(found)


async def _judge(
    check: Check[Subject], suspects: Sequence[Suspect[Subject]]
) -> list[Suspect[Subject]]:
    subjects = list(dict.fromkeys(suspect.subject for suspect in suspects))
    return [suspect for piece in batched(subjects, AT_ONCE) for suspect in await check.judge(piece)]


def _told(found: int) -> str:
    return f", {found:,} of them wrong" if found else ""
