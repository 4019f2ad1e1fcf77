"""Read the memory and the CPU time of this process."""

from __future__ import annotations

import os
import resource
import sys
from dataclasses import dataclass
from pathlib import Path

_STATM = Path("/proc/self/statm")
_PEAK_UNIT = 1 if sys.platform == "darwin" else 1024


@dataclass(frozen=True, slots=True)
class Usage:
    memory_bytes: int
    cpu_seconds: float


def usage() -> Usage:
    """Return the resident memory, and the CPU time of all threads.

    A system without `/proc` tells its largest resident memory alone.
    """
    used = resource.getrusage(resource.RUSAGE_SELF)
    try:
        pages = int(_STATM.read_text().split()[1])
        memory = pages * os.sysconf("SC_PAGE_SIZE")
    except OSError:
        memory = used.ru_maxrss * _PEAK_UNIT
    return Usage(memory, used.ru_utime + used.ru_stime)
