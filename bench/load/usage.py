"""Measure CPU time and memory, of one process and of all that make up one part of the service."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass, field

import psutil

MEGABYTE = 1 << 20


@dataclass(frozen=True, slots=True)
class Usage:
    """Hold the CPU time of one process since its start, and the memory that it holds now."""

    cpu_s: float
    memory_mb: float


@dataclass(slots=True)
class Part:
    """Hold the usage of a part: CPU of all its processes, memory of the largest process."""

    processes: int = 0
    cpu_s: float = 0.0
    peak_mb: float = 0.0
    memory_mb: list[float] = field(default_factory=list)  # one a second


def usage_of(process: psutil.Process) -> Usage | None:
    """Return the usage of a process, or None when the process has ended."""
    with suppress(psutil.Error), process.oneshot():
        times = process.cpu_times()
        return Usage(times.user + times.system, process.memory_info().rss / MEGABYTE)
    return None
