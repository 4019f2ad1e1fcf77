"""Write the snapshots of processes that a test makes up."""

from __future__ import annotations

import os
import time
from pathlib import Path
from typing import Any

from messaging.metrics import snapshot
from messaging.metrics.catalogue import FAMILIES, loop_delay_seconds, request_seconds
from messaging.metrics.families import Histogram
from messaging.metrics.snapshot import Snapshot


def a_cell(family_edges: int, *, values: int, total: float) -> list[float]:
    """Return a histogram's cell with this many values in its first bucket, and their sum."""
    return [values, *[0] * family_edges, total]


class Process:
    """Stand for one process of a site, which writes its snapshot when the test says so."""

    def __init__(
        self,
        folder: Path,
        name: str,
        *,
        role: str = "web",
        release: str = "1.0",
        mtime_s: float = 0,
    ) -> None:
        self.path = folder / f"{role}.{name}.json"
        self.role, self.release = role, release
        self.sends = 0
        self.cpu_s = 0.0
        self.requests = 0
        self.gauges: dict[str, list[tuple[tuple[str, ...], float]]] = {}
        self._written_ms = 0
        self._mtime_s = mtime_s

    def write(self, *, is_over: bool = False, **changed: Any) -> None:
        """Write the next snapshot; its time differs from that of the one before."""
        self._written_ms += 1
        self.path.parent.mkdir(parents=True, exist_ok=True)
        taken = Snapshot(
            role=self.role,
            pid=1,
            release=self.release,
            started_ms=0,
            written_ms=self._written_ms,
            loop_age_s=0.0,
            is_over=is_over,
            numbers={
                "im_sends_total": [(("private", "log", "new"), self.sends)],
                "im_process_cpu_seconds_total": [((), self.cpu_s)],
                "im_process_starts_total": [((), 1)],
                **self.gauges,
            },
            cells={
                "im_request_seconds": [
                    (
                        ("gateway", "send"),
                        a_cell(len(request_seconds.edges), values=self.requests, total=self.cpu_s),
                    )
                ],
                "im_loop_delay_seconds": [
                    ((), a_cell(len(loop_delay_seconds.edges), values=self.requests, total=0.1))
                ],
            },
        )
        snapshot.write(taken, self.path)
        if self._mtime_s:
            os.utime(self.path, (self._mtime_s, self._mtime_s))


def full_snapshot(role: str) -> Snapshot:
    """Return the snapshot of a process that has counted in every series there is."""
    now_ms = round(time.time() * 1000)
    return Snapshot(
        role=role,
        pid=1,
        release="1.0",
        started_ms=now_ms,
        written_ms=now_ms,
        loop_age_s=0.0,
        is_over=False,
        numbers={
            each.name: [(key, 1) for key in each.series()]
            for each in FAMILIES
            if not isinstance(each, Histogram)
        },
        cells={
            each.name: [(key, [1.0] * (len(each.edges) + 2)) for key in each.series()]
            for each in FAMILIES
            if isinstance(each, Histogram)
        },
    )
