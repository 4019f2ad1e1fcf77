"""Prints its standard input once the web answers.

usage: announce.py URL SECONDS <BANNER

Run by scripts/run, to which it sends SIGUSR1 when there is no answer within that many seconds.
"""

from __future__ import annotations

import os
import signal
import sys
import time
import urllib.error
import urllib.request

ANSWER_LIMIT_S = 5
PAUSE_S = 0.2


def answers(url: str) -> bool:
    """Whether anything but a server error comes back."""
    try:
        with urllib.request.urlopen(url, timeout=ANSWER_LIMIT_S):
            return True
    except urllib.error.HTTPError as error:
        return error.code < 500
    except OSError:
        return False


def main(url: str, limit_s: float) -> None:
    deadline = time.monotonic() + limit_s
    while not answers(url):
        if time.monotonic() > deadline:
            print(f"{url} does not answer after {limit_s:.0f} s; see above", file=sys.stderr)
            os.kill(os.getppid(), signal.SIGUSR1)
            return
        time.sleep(PAUSE_S)
    sys.stdout.write(sys.stdin.read())


if __name__ == "__main__":
    main(sys.argv[1], float(sys.argv[2]))
