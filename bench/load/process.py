"""Run one load process: `python -m bench.load.process`, driven by `bench.load.run`.

The process reads a job, prints a line when it is ready, and reads when to start. Then it prints a
line of JSON at each tick, `{"answered", "errors"}`, and the outcome as the last line.
"""

from __future__ import annotations

import gc
import json
import sys
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import psutil

from bench.load.answers import DURABILITIES
from bench.load.loop import LoadLoop, Outcome
from bench.load.receipts import Receipts
from bench.load.schedule import NANOSECONDS, Schedule
from bench.load.traffic import Account, Mix, Pages, Sender, Sends, TargetSite, Traffic
from bench.load.usage import MEGABYTE

KINDS: Mapping[str, Callable[[Receipts], Traffic]] = {
    "send": Sends,
    "mix": Mix,
    "history": lambda _: Pages(),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """Hold the work of one load process."""

    site: TargetSite
    accounts: list[Account]
    kind: str
    connections: int
    warm_s: float
    seconds: float
    rate: float | None
    limit: int | None
    timeout_s: float
    receipts: str | None

    def as_json(self) -> str:
        return json.dumps(asdict(self))

    @classmethod
    def from_json(cls, text: str) -> Job:
        data: dict[str, Any] = json.loads(text)
        site = TargetSite(**data.pop("site"))
        accounts = [Account(**each) for each in data.pop("accounts")]
        return cls(site=site, accounts=accounts, **data)


def run(
    job: Job, await_start_ns: Callable[[], int], progress: Callable[[int, int], None]
) -> dict[str, object]:
    """Run a job and return the outcome, as `LoadResult.add` takes it.

    `await_start_ns` is called when all is prepared, and returns a time of the machine's clock
    (`bench.load.loop.clock`).
    """
    receipts = Receipts(Path(job.receipts) if job.receipts else None)
    traffic = KINDS[job.kind](receipts)
    senders = [Sender(account, job.site) for account in job.accounts]
    start_ns = await_start_ns()
    warm_ns = start_ns + int(job.warm_s * NANOSECONDS)
    stop_ns = warm_ns + int(job.seconds * NANOSECONDS)
    schedule = Schedule(start_ns=start_ns, stop_ns=stop_ns, rate=job.rate, limit=job.limit)

    def tick(answered: int, errors: int) -> None:
        receipts.flush()
        progress(answered, errors)

    load = LoadLoop(
        (job.site.host, job.site.port),
        job.connections,
        senders,
        traffic,
        timeout_s=job.timeout_s,
        progress=tick,
    )
    outcome = load.run(schedule, start_ns=start_ns, warm_ns=warm_ns, stop_ns=stop_ns)
    receipts.close()
    return _told(outcome, receipts, traffic)


def _told(outcome: Outcome, receipts: Receipts, traffic: Traffic) -> dict[str, object]:
    return {
        "answered": outcome.answered,
        "measured": outcome.measured,
        "measuredS": outcome.measured_s,
        "eachSecond": outcome.each_second,
        "cpuS": outcome.cpu_s,
        "peakMb": psutil.Process().memory_info().rss / MEGABYTE,
        "errors": outcome.errors,
        "sent": receipts.sent,
        "durability": {name: traffic.durability[letter] for letter, name in DURABILITIES.items()},
        "histograms": {name: each.as_json() for name, each in outcome.histograms.items()},
    }


def _tell(answered: int, errors: int) -> None:
    print(json.dumps({"answered": answered, "errors": errors}), flush=True)


def _await_start_ns() -> int:
    print("{}", flush=True)
    return int(sys.stdin.readline())


def main() -> None:
    job = Job.from_json(sys.stdin.readline())
    gc.disable()  # the loop makes no cycles
    print(json.dumps(run(job, _await_start_ns, _tell)), flush=True)


if __name__ == "__main__":
    main()
