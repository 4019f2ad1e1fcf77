"""Run many schedules, or print the steps of one.

  python -m tests.simulation                      run 2,000 schedules
  python -m tests.simulation --schedules 100000 --first
  python -m tests.simulation --replay SEED        print the steps of this schedule

Each schedule runs the service over ports in memory, with faults drawn from its seed, and checks
every promise to the clients. Exit status: 0 when every schedule kept every promise, 1 otherwise.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections import Counter

from messaging.progress import Progress
from tests.simulation.schedule import Failure, run, run_many


def main() -> int:
    """Run the command; return 0 when every schedule kept every promise, else 1."""
    options = _parser().parse_args()
    if options.replay is not None:
        return _replay(options.replay)
    seeds = range(options.seed, options.seed + options.schedules)
    return _run(seeds, options.processes, first=options.first)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m tests.simulation",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--schedules", type=int, default=2_000, metavar="N", help="how many (2000)")
    parser.add_argument("--seed", type=int, default=0, help="start with this seed (0)")
    parser.add_argument("--processes", type=int, default=2, metavar="N", help="use N processes (2)")
    parser.add_argument("--first", action="store_true", help="stop soon after the first failure")
    parser.add_argument("--replay", type=int, metavar="SEED", help="print this schedule's steps")
    return parser


def _run(seeds: range, processes: int, *, first: bool) -> int:
    progress = Progress(sys.stderr)
    progress.begin(f"{len(seeds):,} schedules")
    began_s = time.monotonic()
    done, told, failures, rate = 0, 0, list[Failure](), 0.0
    for done, failures in run_many(seeds, processes=processes):
        rate = done / (time.monotonic() - began_s)
        progress.update(done / len(seeds), f"{rate:,.0f} a second, {len(failures)} failed")
        for failure in failures[told:]:
            _report(failure)
        told = len(failures)
        if first and failures:
            break
    progress.end(
        f"{done:,} schedules (seeds {seeds[0]} to {seeds[0] + done - 1}) in "
        f"{time.monotonic() - began_s:,.0f} s, {rate:,.0f} a second: {len(failures):,} failed"
    )
    kinds = Counter(kind for f in failures for kind in {v.kind for v in f.violations})
    for kind, count in kinds.most_common():
        print(f"{count:7,}  {kind}")
    return 1 if failures else 0


def _report(failure: Failure) -> None:
    broken = ", ".join(dict.fromkeys(violation.kind for violation in failure.violations))
    print(f"seed {failure.seed}: {broken}: {failure.violations[0].text}")
    print(f"  python -m tests.simulation --replay {failure.seed}", flush=True)


def _replay(seed: int) -> int:
    steps: list[str] = []
    violations = run(seed, report=steps.append)
    print("\n".join(steps))
    for violation in violations:
        print(f"VIOLATION {violation.kind}: {violation.text}")
    print(f"seed {seed}: {len(violations)} violations")
    return 1 if violations else 0


if __name__ == "__main__":
    sys.exit(main())
