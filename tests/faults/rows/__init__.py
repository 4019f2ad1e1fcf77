"""List all faults by name, in the order in which they run: a module for each thing that breaks."""

from __future__ import annotations

from tests.faults.rows import abuse, kafka, mariadb, outages, processes, records, redis
from tests.faults.rows.fault import Fault, Unmet

FAULTS = {
    fault.name: fault
    for module in (redis, kafka, mariadb, outages, processes, records, abuse)
    for fault in module.FAULTS
}

__all__ = ["FAULTS", "Fault", "Unmet"]
