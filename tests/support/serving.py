"""Serve by a server of the standard library, on a thread, for as long as a context lasts."""

from __future__ import annotations

import contextlib
import socketserver
import threading
from collections.abc import Iterator

POLL_S = 0.01  # how soon the server sees its end


@contextlib.contextmanager
def serving(server: socketserver.TCPServer) -> Iterator[int]:
    """Serve on a thread; yield the server's port. The server is closed at the end."""
    with server:
        thread = threading.Thread(target=server.serve_forever, args=(POLL_S,))
        thread.start()
        try:
            yield server.server_address[1]
        finally:
            server.shutdown()
            thread.join()
