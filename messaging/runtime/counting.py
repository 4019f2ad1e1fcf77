"""Count in this process, and write its counts, from the start of its parts to their end.

A web process, a consumer and a worker of Celery call `begin` and `end`. Commands do not count.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from pathlib import Path

from messaging.conf import Settings
from messaging.domain.breakers import Breaker
from messaging.domain.ids import SnowflakeIdGenerator
from messaging.metrics import catalogue
from messaging.metrics.families import Labels, Switch
from messaging.metrics.writer import SnapshotWriter
from messaging.pipeline.hints import CacheHints
from messaging.release import RELEASE

_OF_PARTS = (
    catalogue.breaker_processes,
    catalogue.breaker_changes,
    catalogue.breaker_open_seconds,
    catalogue.lease_seconds,
    catalogue.arrears,
    catalogue.last_sweep,
)


def begin(
    role: str,
    current: Settings,
    breakers: Mapping[str, Breaker],
    *,
    ids: SnowflakeIdGenerator | None = None,
    hints: CacheHints | None = None,
) -> SnapshotWriter | None:
    """Read these parts at each snapshot from now on, and begin to write the snapshots.

    A backend that this process has not asked for yet is probed at once: otherwise an idle process
    could not tell whether that backend is away.

    Called on the event loop of the parts. `role`: one of `catalogue.ROLES`. Return the writer for
    `end`, or None where `IM_METRICS` is off or no folder is set.
    """
    for breaker in breakers.values():
        if not breaker.is_closed:
            breaker.trip()
    Switch.is_on = current.metrics
    if not (current.metrics and current.metrics_dir):
        return None
    catalogue.breaker_processes.read = lambda: _states(breakers)
    catalogue.breaker_changes.read = lambda: {
        (name,): breaker.changes for name, breaker in breakers.items()
    }
    catalogue.breaker_open_seconds.read = lambda: {
        (name,): breaker.open_s for name, breaker in breakers.items()
    }
    if ids is not None:
        catalogue.lease_seconds.read = lambda: {(): ids.lease_left_s}
    if hints is not None:
        catalogue.arrears.read = lambda: {(): hints.owed}
    writer = SnapshotWriter(Path(current.metrics_dir), role=role, release=RELEASE)
    writer.start()
    return writer


async def end(writer: SnapshotWriter | None) -> None:
    """Write the last snapshot of this process, and let go of the parts that it read."""
    if writer is not None:
        await writer.close()
        for reading in _OF_PARTS:
            reading.read = dict


def note_sweep() -> None:
    """Note that a sweep has ended now."""
    ended_s = time.time()
    catalogue.last_sweep.read = lambda: {(): ended_s}


def _states(breakers: Mapping[str, Breaker]) -> dict[Labels, float]:
    return {
        (name, state): float(breaker.state == state)
        for name, breaker in breakers.items()
        for state in catalogue.STATES
    }
