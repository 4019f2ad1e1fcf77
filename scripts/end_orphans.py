"""Ends the processes that a program leaves when the program or supervisord dies.

This program is an event listener of supervisord; scripts/run configures it. Each program leads its
own process group. A killed program cannot stop its workers, which would go on beside the new
program. When supervisord disappears (end of input), its programs are asked to stop and then killed.
"""

from __future__ import annotations

import contextlib
import os
import signal
import sys
import time

STOP_TIMEOUT_S = 20.0


def fields(line: str) -> dict[str, str]:
    return dict(pair.split(":", 1) for pair in line.split())


def signal_group(group: int, number: int) -> bool:
    """Send a signal to a process group, and tell whether the group has a member left."""
    try:
        os.killpg(group, number)
    except ProcessLookupError:
        return False
    return True


def listen(groups: dict[str, int]) -> None:
    """Keep `groups` (by program) as supervisord tells; returns when supervisord is gone."""
    while True:
        sys.stdout.write("READY\n")
        sys.stdout.flush()
        header_line = sys.stdin.readline()
        if not header_line:
            return
        header = fields(header_line)
        event = fields(sys.stdin.read(int(header["len"])))
        name = event["processname"]
        if "pid" in event:
            groups[name] = int(event["pid"])
        if header["eventname"] in ("PROCESS_STATE_EXITED", "PROCESS_STATE_STOPPED"):
            signal_group(groups.pop(name), signal.SIGKILL)
        sys.stdout.write("RESULT 2\nOK")
        sys.stdout.flush()


def stop_all(groups: dict[str, int]) -> None:
    deadline = time.monotonic() + STOP_TIMEOUT_S
    for group in groups.values():
        signal_group(group, signal.SIGTERM)
    while any(signal_group(group, 0) for group in groups.values()):
        if time.monotonic() > deadline:
            for group in groups.values():
                signal_group(group, signal.SIGKILL)
            return
        time.sleep(0.1)


if __name__ == "__main__":
    running: dict[str, int] = {}
    with contextlib.suppress(BrokenPipeError):
        listen(running)
    running.pop("orphans", None)
    stop_all(running)
