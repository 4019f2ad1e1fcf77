"""Prints its standard input when the web server answers.

usage: announce.py URL SECONDS <BANNER

scripts/run runs this program. If URL does not answer within SECONDS, the program sends SIGUSR1 to
scripts/run.
"""

from __future__ import annotations

import os
import signal
import sys
import time

from probe import answers

PROBE_EVERY_S = 0.2


def main(url: str, limit_s: float) -> None:
    deadline = time.monotonic() + limit_s
    while not answers(url):
        if time.monotonic() > deadline:
            print(f"{url} does not answer after {limit_s:.0f} s; see above", file=sys.stderr)
            os.kill(os.getppid(), signal.SIGUSR1)
            return
        time.sleep(PROBE_EVERY_S)
    sys.stdout.write(sys.stdin.read())


if __name__ == "__main__":
    main(sys.argv[1], float(sys.argv[2]))
