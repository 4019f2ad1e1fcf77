"""Break each promise in a copy of the code, and see that the tests notice each break.

  python -m tests.mutations                    run all mutations, then the checks without them
  python -m tests.mutations --only recall      run the mutations with this text in their name

Exit status: 0 when every mutation is caught, and the unchanged code passes the same checks.
"""

from __future__ import annotations

import argparse
import re
import sys

from tests.mutations.copies import copy_of_checkout, mutated, passes
from tests.mutations.mutation import Mutation
from tests.mutations.mutations import MUTATIONS

SAID = re.compile(r"^(?:FAILED|ERROR) (\S+)|^(seed \d+: [^:]+):", re.MULTILINE)


def main() -> int:
    """Run the command; return 0 when every mutation is caught and the unchanged code passes."""
    options = _parser().parse_args()
    chosen = [m for m in MUTATIONS if options.only in m.name]
    missed = [m.name for m in chosen if not _is_caught(m)]
    broken = [] if options.mutated_only else _failing_checks(chosen)
    for name in missed:
        print(f"NOT CAUGHT: {name}")
    for check in broken:
        print(f"FAILS ON THE CODE AS IT IS: python {check}")
    print(f"{len(chosen) - len(missed)} of {len(chosen)} mutations caught")
    return 1 if missed or broken else 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m tests.mutations",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        "--only", default="", metavar="TEXT", help="only those with this in the name"
    )
    parser.add_argument(
        "--mutated-only", action="store_true", help="leave out the checks of the unchanged code"
    )
    return parser


def _is_caught(mutation: Mutation) -> bool:
    with mutated(mutation) as copy:
        passed, said = passes(mutation.check, copy)
    found = None if passed else SAID.search(said)
    told = f"caught by {found[1] or found[2]}" if found else "NOT CAUGHT"
    print(f"{mutation.name:58} {told}", flush=True)
    if not passed and not found:
        print(said)  # this failure is of the check itself, not of a test that caught the mutation
    return found is not None


def _failing_checks(chosen: list[Mutation]) -> list[str]:
    failing = []
    with copy_of_checkout() as copy:
        for check in dict.fromkeys(m.check for m in chosen):
            passed, said = passes(check, copy)
            print(f"{' '.join(check):58} {'passes' if passed else 'FAILS'} unmutated", flush=True)
            if not passed:
                print(said)
                failing.append(" ".join(check))
    return failing


if __name__ == "__main__":
    sys.exit(main())
