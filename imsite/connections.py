"""Let the kernel end connections whose clients take nothing.

The web server has no timeout for writes, and an answer that it holds already is out of the
application's reach. Linux has one for each connection, which a connection inherits from the socket
that it was accepted on.
"""

from __future__ import annotations

import asyncio
import logging
import os
import socket
import stat
from pathlib import Path

from messaging.limits import UNTAKEN_S

OPEN_FILES = Path("/proc/self/fd")
LOOK_EVERY_S = 0.1
LOOK_FOR_S = 10.0
logger = logging.getLogger(__name__)


async def end_untaken() -> None:
    """Bound how long data may wait for a client on every connection that will be accepted.

    The server listens a moment after it has started the application: looks until it does. Where
    nothing is found (another system, a Unix socket) a warning tells it.
    """
    option = getattr(socket, "TCP_USER_TIMEOUT", None)
    for _ in range(round(LOOK_FOR_S / LOOK_EVERY_S)):
        if option is None or not OPEN_FILES.is_dir():
            break
        if bound_listeners(option):
            return
        await asyncio.sleep(LOOK_EVERY_S)
    logger.warning(
        "connections have no write timeout", extra={"action": "connections.no_write_timeout"}
    )


def bound_listeners(option: int) -> int:
    """Set the option on each TCP socket of this process that listens; returns how many do."""
    found = 0
    for entry in OPEN_FILES.iterdir():
        try:
            if not stat.S_ISSOCK(os.fstat(int(entry.name)).st_mode):
                continue
            opened = socket.socket(fileno=os.dup(int(entry.name)))
        except OSError:  # closed since
            continue
        with opened:
            if _listens(opened):
                opened.setsockopt(socket.IPPROTO_TCP, option, round(UNTAKEN_S * 1_000))
                found += 1
    return found


def _listens(opened: socket.socket) -> bool:
    if opened.family not in (socket.AF_INET, socket.AF_INET6):
        return False
    if opened.type != socket.SOCK_STREAM:
        return False
    return bool(opened.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN))
