"""CPU time and memory, of one process and of all that make up one part of the service."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass, field

import psutil

MEGABYTE = 1 << 20


@dataclass(frozen=True, slots=True)
class Usage:
    """What one process has used since it was started, and the memory that it holds now."""

    cpu_s: float
    memory_mb: float


@dataclass(slots=True)
class Part:
    """What a part has used meanwhile: CPU of all its processes, memory of the largest of them."""

    processes: int = 0
    cpu_s: float = 0.0
    peak_mb: float = 0.0
    memory_mb: list[float] = field(default_factory=list)  # one a second


def usage_of(process: psutil.Process) -> Usage | None:
    """None: it has ended."""
    with suppress(psutil.Error), process.oneshot():
        times = process.cpu_times()
        return Usage(times.user + times.system, process.memory_info().rss / MEGABYTE)
    return None
