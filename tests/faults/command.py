"""Run faults one after the other on one rig, and print the table."""

from __future__ import annotations

import argparse
import json
import secrets
import shutil
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from messaging.progress import Progress
from tests.faults.result import FaultResult, explain, judge, notes, table
from tests.faults.rig import running_rig
from tests.faults.rows import FAULTS, Fault
from tests.faults.run import run
from tests.faults.transcript import read_transcript

ABOUT = """\
  python -m tests.faults --list           list the faults
  python -m tests.faults                  run each fault once: some minutes
  python -m tests.faults --rows redis-killed,mariadb-killed --seeds 3
  python -m tests.faults --judge FILE     judge the transcript of an earlier run again

The command starts MariaDB, Redis, Kafka and the whole service on data and ports of its own. It
breaks one or more of them under load, mends them, waits until everything has drained, and accounts
for every message: none may be lost, doubled, altered, or shown after its recall or delete.

The command changes only the services that it has started. The packages of
requirements-dev.txt must be installed. Exit status: 0 when every promise was kept, 1 when a promise
was broken, 2 when a fault is unknown.
"""
LARGEST_SEED = 99_999


def main() -> int:
    """Run the command; return 1 when anything broke the promise, 2 when a name is unknown."""
    options = _parser().parse_args()
    names = options.rows.split(",") if options.rows else list(FAULTS)
    if unknown := [name for name in names if name not in FAULTS]:
        print(f"no fault {', '.join(unknown)}; see --list", file=sys.stderr)
        return 2
    if options.list:
        for fault in FAULTS.values():
            print(f"{fault.name:<28}{fault.about}")
        return 0
    results: list[FaultResult] = []
    try:
        if options.judge:
            results.append(_judge_again(options.judge))
        else:
            _run_all([FAULTS[name] for name in names], options, results)
    finally:  # a run that breaks off reports the results so far
        broken = _report(results, options.json)
    return 1 if broken else 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m tests.faults",
        description=ABOUT,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add = parser.add_argument
    add("--list", action="store_true", help="list the faults")
    add("--rows", metavar="NAME[,NAME]", help="run these faults alone")
    add("--seeds", type=int, default=1, metavar="N", help="run each fault N times, by N seeds (1)")
    add("--seed", type=int, metavar="S", help="the first seed; else one is drawn and printed")
    add("--hold", type=float, metavar="S", help="let each fault last S seconds at least")
    add("--keep", action="store_true", help="keep transcripts, logs and data, and print where")
    add("--json", type=Path, metavar="FILE", help="write the table and all violations to FILE")
    add("--judge", type=Path, metavar="FILE", help="judge this transcript again, and run nothing")
    return parser


def _report(results: Sequence[FaultResult], file: Path | None) -> int:
    """Print the table and the violations; return the number of violations."""
    for line in (*table(results), *notes(results), *explain(results)):
        print(line)
    if file is not None:
        documents = [result.document for result in results]
        file.write_text(json.dumps(documents, ensure_ascii=False, indent=1))
    broken = sum(len(result.violations) for result in results)
    print(f"{'FAILED' if broken else 'PASSED'}: {len(results)} runs, {broken} violations")
    return broken


def _run_all(
    faults: Sequence[Fault], options: argparse.Namespace, results: list[FaultResult]
) -> None:
    """Run each fault with each seed, and add each result to `results`."""
    first = options.seed if options.seed is not None else secrets.randbelow(LARGEST_SEED)
    directory = Path(tempfile.mkdtemp(prefix="im-faults-"))
    progress = Progress(sys.stderr)
    total = len(faults) * options.seeds
    progress.begin(f"seed {first}: starts MariaDB, Redis, Kafka and the service")
    with running_rig(directory) as rig:
        for seed in range(first, first + options.seeds):
            for fault in faults:
                progress.begin(f"{fault.name}, seed {seed}")
                result = run(
                    rig,
                    fault,
                    seed=seed,
                    hold_s=max(options.hold or 0.0, fault.hold_s),
                    report=lambda note: progress.update(len(results) / total, note),
                )
                results.append(result)
                progress.end(_line(result))
    if options.keep:
        print(f"transcripts, logs and data: {directory}")
    elif not any(result.violations for result in results):
        shutil.rmtree(directory)


def _line(result: FaultResult) -> str:
    what = f"{len(result.violations)} violations" if result.violations else "holds"
    return f"  {result.fault:<28} seed {result.seed}: {result.operations:,} operations, {what}"


def _judge_again(path: Path) -> FaultResult:
    name, _, seed = path.stem.rpartition("-")
    return judge(FAULTS[name], int(seed), read_transcript(path), path)
