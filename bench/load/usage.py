"""Measure CPU time and memory, of one process and of all that make up one part of the service."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass, field

import psutil

MEGABYTE = 1 << 20


@dataclass(slots=True)
class Part:
    """Hold the usage of a part: CPU of all its processes, memory of the largest process."""

    processes: int = 0
    cpu_s: float = 0.0
    peak_mb: float = 0.0
    memory_mb: list[float] = field(default_factory=list)  # one a second


def usage_of(process: psutil.Process) -> tuple[float, float] | None:
    """Return the CPU time (s) of a process since its start, and the memory (MB) that it holds now.

    The usage of a process that has ended is None.
    """
    with suppress(psutil.Error), process.oneshot():
        times = process.cpu_times()
        return times.user + times.system, process.memory_info().rss / MEGABYTE
    return None
