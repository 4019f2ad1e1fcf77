"""Checks that a web server answers: exit 0 for any answer except a server error.

usage: probe.py URL

The health check in compose/docker-compose.yml and scripts/announce.py use this program.
"""

from __future__ import annotations

import sys
import urllib.error
import urllib.request

ANSWER_TIMEOUT_S = 5
_direct = urllib.request.build_opener(urllib.request.ProxyHandler({}))  # it is on this machine


def answers(url: str) -> bool:
    """Tell whether the address answers; a refusal (401, 404 …) is an answer."""
    try:
        with _direct.open(url, timeout=ANSWER_TIMEOUT_S):
            return True
    except urllib.error.HTTPError as error:
        return error.code < 500
    except OSError:
        return False


if __name__ == "__main__":
    sys.exit(not answers(sys.argv[1]))
