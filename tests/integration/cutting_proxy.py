"""A TCP proxy that can cut what goes through it: the question, or only the answer."""

from __future__ import annotations

import contextlib
import socket
import threading
from collections.abc import Iterator
from enum import Enum
from urllib.parse import urlsplit


class Cuts(Enum):
    NOTHING = ()
    ANSWERS = ("answer",)
    ALL = ("question", "answer")


class CuttingProxy:
    """In front of a Redis; `url` is the way through it.

    While `cuts` says `ANSWERS`, what is asked is done, and the connection ends in place of the
    answer; with `ALL` nothing arrives. `count` tells how often it has cut.
    """

    def __init__(self, redis_url: str) -> None:
        there = urlsplit(redis_url)
        self._there = (there.hostname or "", there.port or 0)
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.url = f"redis://127.0.0.1:{self._listener.getsockname()[1]}{there.path}"
        self.cuts = Cuts.NOTHING
        self.count = 0

    def serve(self) -> None:
        """Until the listener is closed."""
        with contextlib.suppress(OSError):
            while True:
                client, _ = self._listener.accept()
                server = socket.create_connection(self._there)
                for what, *ends in (("question", client, server), ("answer", server, client)):
                    threading.Thread(target=self._carry, args=(what, *ends)).start()

    def _carry(self, what: str, source: socket.socket, sink: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while data := source.recv(65_536):
                if what in self.cuts.value:
                    self.count += 1
                    break
                sink.sendall(data)
        for end in (source, sink):
            with contextlib.suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)
        source.close()

    def close(self) -> None:
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()


@contextlib.contextmanager
def cutting_proxy(redis_url: str) -> Iterator[CuttingProxy]:
    proxy = CuttingProxy(redis_url)
    thread = threading.Thread(target=proxy.serve)
    thread.start()
    try:
        yield proxy
    finally:
        proxy.close()
        thread.join(5)
