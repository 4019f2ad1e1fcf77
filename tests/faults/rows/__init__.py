"""All faults, by name, in the order in which they run: a module for each thing that breaks."""

from __future__ import annotations

from tests.faults.rows import kafka, mariadb, outages, processes, records, redis
from tests.faults.rows.fault import Fault, Unmet

FAULTS = {
    fault.name: fault
    for module in (redis, kafka, mariadb, outages, processes, records)
    for fault in module.FAULTS
}

__all__ = ["FAULTS", "Fault", "Unmet"]
