"""Run several processes of one management command: start, restart after a death, and stop them."""

from __future__ import annotations

import logging
import signal
import subprocess
import sys
import threading
from collections.abc import Sequence

logger = logging.getLogger(__name__)

RESTART_PAUSE_S = 1.0
STOP_TIMEOUT_S = 30.0


def supervise(count: int, arguments: Sequence[str], *, final: int) -> bool:
    """Keep `count` processes of `manage.py <arguments>` running until SIGTERM or SIGINT.

    The signal is handed on; a process that has not ended after 30 s is killed. The first process
    that ends with the status `final` ends them all, because a person has to look. Returns True in
    that case.
    """
    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    command = [sys.executable, sys.argv[0], *arguments]
    processes = [subprocess.Popen(command) for _ in range(count)]
    given_up = False
    while not given_up and not stop.wait(RESTART_PAUSE_S):
        for place, process in enumerate(processes):
            if (status := process.poll()) is not None:
                logger.error(
                    "worker process ended",
                    extra={"action": "workers.restart", "pid": process.pid, "status": status},
                )
                if status == final:
                    given_up = True
                else:
                    processes[place] = subprocess.Popen(command)
    for process in processes:
        process.send_signal(signal.SIGTERM)
    for process in processes:
        _end(process)
    return given_up


def _end(process: subprocess.Popen[bytes]) -> None:
    try:
        process.wait(STOP_TIMEOUT_S)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
