"""Run one audit, from the first walk to the report."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Protocol

from messaging.audit import sources
from messaging.audit.accounting import Accounting, Walk
from messaging.audit.check import AT_ONCE, Check, Parts
from messaging.audit.deletes import CachedDeletes
from messaging.audit.details import Details
from messaging.audit.findings import Findings, Subject, Suspect
from messaging.audit.letters import Letters
from messaging.audit.lists import Lists, PendingLists, RecallMarks
from messaging.audit.report import Report
from messaging.audit.rows import Numbers, Rows
from messaging.audit.sources import LogRecords
from messaging.domain.batched import batched
from messaging.domain.ids import first_id_at

SETTLE_AT = 10_000  # suspects in memory
LOOKS = 3


class Teller(Protocol):
    """Show a person how far the audit is (`messaging.progress.Progress`)."""

    def begin(self, title: str) -> None: ...

    def update(self, fraction: float, note: str = "") -> None: ...

    def end(self, line: str) -> None: ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """Hold the options of an audit.

    `settle_s` passes before each of three more looks at a suspect. `since_ms` selects the rows,
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

    def __init__(self, parts: Parts, plan: Plan, teller: Teller) -> None:
        self._parts = parts
        self._plan = plan
        self._teller = teller
        self._findings = Findings()
        self._records = LogRecords(parts.log, whole=plan.whole_log, since_ms=plan.since_ms)

    async def run(self) -> Report:
        clock_ms = self._parts.compensator.clock_ms
        started_ms = clock_ms()
        accountings = self._accountings()
        for check in accountings:
            await self._run(check)
        since_id = first_id_at(self._plan.since_ms) if self._plan.since_ms is not None else 0
        await self._run(Letters(self._parts, self._records.poison))
        # Check rows before the cache, because the cache is mended after the rows.
        await self._run(Rows(self._parts, since_id=since_id))
        await self._run(Numbers(self._parts, since_id=since_id))
        await self._run(Details(self._parts))
        await self._run(RecallMarks(self._parts))
        await self._run(PendingLists(self._parts))
        await self._run(Lists(self._parts))
        await self._run(CachedDeletes(self._parts))
        oldest = await self._parts.cache.pending(before_ms=sources.END_OF_TIME_MS, limit=1)
        return Report(
            started_ms=started_ms,
            took_ms=clock_ms() - started_ms,
            fates={each.title: dict(each.fates) for each in accountings},
            findings=self._findings,
            pending=await self._parts.cache.pending_count(),
            oldest_pending_ms=clock_ms() - oldest[0].send_time if oldest else None,
            lag=dict(self._records.lag),
            unreadable=self._records.unreadable,
            repaired=self._plan.repair,
            examples=self._plan.examples,
        )

    def _accountings(self) -> list[Accounting]:
        parts, plan = self._parts, self._plan
        walks: dict[str, Walk] = {
            "pending set": partial(sources.pending, parts.cache),
            "cached details": partial(sources.details, parts.cached),
            "cached claims": partial(sources.claims, parts.cached),
            "log": self._records.walk,
        }
        if plan.receipts is not None:
            walks["receipts"] = partial(sources.receipts, plan.receipts)
        return [
            Accounting(
                title,
                walk,
                parts,
                stuck_ms=round(plan.stuck_s * 1000),
                tell_search=lambda records: self._teller.update(
                    0.0, f"searching the log: {records:,} records"
                ),
            )
            for title, walk in walks.items()
        ]

    async def _run(self, check: Check[Subject]) -> None:
        self._teller.begin(check.title)
        looked_at = 0
        suspects: list[Suspect[Subject]] = []
        async for step in check.walk():
            looked_at += step.looked_at
            suspects += step.suspects
            self._teller.update(step.done, f"{looked_at:,}")
            if len(suspects) >= SETTLE_AT:
                await self._settle(check, suspects)
                suspects = []
        found = await self._settle(check, suspects)
        self._teller.end(f"{check.title}: {looked_at:,} looked at{_told(found)}")

    async def _settle(self, check: Check[Subject], suspects: Sequence[Suspect[Subject]]) -> int:
        """Judge the suspects three times more, mend if planned, and return how many are wrong."""
        for look in range(LOOKS):
            if not suspects:
                return 0
            self._teller.update(look / LOOKS, f"looking again at {len(suspects):,}")
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
