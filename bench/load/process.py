"""Run one load process, which `bench.load.run` starts."""

from __future__ import annotations

import gc
from collections import Counter
from collections.abc import Mapping
from multiprocessing.connection import Connection
from pathlib import Path

import psutil

from bench.load.answers import DURABILITIES
from bench.load.loop import LoadLoop
from bench.load.plan import LapPlan
from bench.load.receipts import Receipts
from bench.load.traffic import Lists, Marks, Mix, Pages, Syncs, Traffic
from bench.load.usage import MEGABYTE

KINDS: Mapping[str, type[Traffic]] = {
    "send": Traffic,
    "mix": Mix,
    "history": Pages,
    "list": Lists,
    "sync": Syncs,
    "mark": Marks,
}


def main(parent: Connection, plan: LapPlan, receipts_in: Path | None) -> None:
    """Run one process's part of a plan.

    The process reports the counts of answered and of failed requests, first when it is ready and
    then at each tick, and the result at the end. A ready process is told a time of the machine's
    clock (`bench.load.loop.clock`) to start at.
    """
    gc.disable()  # the loop makes no cycles
    receipts = Receipts(receipts_in)
    traffic = KINDS[plan.kind](receipts)

    def tick(answered: int, errors: int) -> None:
        receipts.flush()
        parent.send((answered, errors))

    load = LoadLoop(plan, traffic, progress=tick)
    parent.send((0, 0))
    result = load.run(start_ns=parent.recv())
    receipts.close()
    result.sent = receipts.sent
    result.durability = Counter(
        {name: traffic.durability[letter] for letter, name in DURABILITIES.items()}
    )
    result.part.peak_mb = psutil.Process().memory_info().rss / MEGABYTE
    parent.send(result)
