"""Let the kernel end connections whose clients take nothing.

The web server has no timeout for writes, and an answer that the server holds already is out of the
application's reach. Linux has a write timeout for each connection (TCP_USER_TIMEOUT), and an
accepted connection inherits the timeout of its listening socket.
"""

from __future__ import annotations

import asyncio
import logging
import os
import socket
import stat
from pathlib import Path

from messaging.limits import UNTAKEN_TIMEOUT_S

OPEN_FILES = Path("/proc/self/fd")
CHECK_EVERY_S = 0.1
CHECK_FOR_S = 10.0
logger = logging.getLogger(__name__)


async def end_untaken() -> None:
    """Bound how long data may wait for a client (`UNTAKEN_TIMEOUT_S`) on every later connection.

    The server listens a moment after the server has started the application. So search for a
    listening socket every `CHECK_EVERY_S`, for `CHECK_FOR_S` at most. Log a warning where no such
    socket is found (another system, a Unix socket).
    """
    option = getattr(socket, "TCP_USER_TIMEOUT", None)
    for _ in range(round(CHECK_FOR_S / CHECK_EVERY_S)):
        if option is None or not OPEN_FILES.is_dir():
            break
        if bound_listeners(option):
            return
        await asyncio.sleep(CHECK_EVERY_S)
    logger.warning(
        "connections have no write timeout", extra={"action": "connections.no_write_timeout"}
    )


def bound_listeners(option: int) -> int:
    """Set the option on each listening TCP socket of this process; return the number of sockets."""
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
                opened.setsockopt(socket.IPPROTO_TCP, option, round(UNTAKEN_TIMEOUT_S * 1_000))
                found += 1
    return found


def _listens(opened: socket.socket) -> bool:
    if opened.family not in (socket.AF_INET, socket.AF_INET6):
        return False
    if opened.type != socket.SOCK_STREAM:
        return False
    return bool(opened.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN))
