"""Cut or hold up the bytes that go through a TCP proxy: the requests, or only the answers."""

from __future__ import annotations

import contextlib
import socket
import threading
import time
from collections.abc import Iterator
from enum import Enum
from urllib.parse import urlsplit


class Cuts(Enum):
    NOTHING = ()
    ANSWERS = ("answer",)
    ALL = ("question", "answer")


class CuttingProxy:
    """Stand in front of the server of a URL; `url` is the address through the proxy.

    `cuts`: with `ANSWERS` a request is done, and the connection ends in place of the answer; with
    `ALL` nothing arrives.
    `after`: cuts begin with a request that holds these bytes.
    `is_silent`: bytes are dropped and the connection stays open, so that neither side can notice.
    `count`: the number of cuts so far.
    `delay_s`: the delay of each piece of an answer.
    """

    def __init__(self, url: str, *, host: str = "127.0.0.1") -> None:
        there = urlsplit(url)
        self.leads_to = there.port or 0
        self._there = (there.hostname or "", self.leads_to)
        self._listener = socket.create_server((host, 0))
        self.port = self._listener.getsockname()[1]
        self.url = f"{there.scheme}://{host}:{self.port}{there.path}"
        self.cuts = Cuts.NOTHING
        self.after = b""
        self.is_silent = False
        self.delay_s = 0.0
        self.count = 0

    def serve(self) -> None:
        """Carry connections until the listener is closed."""
        with contextlib.suppress(OSError):
            while True:
                client, _ = self._listener.accept()
                try:
                    server = socket.create_connection(self._there)
                except OSError:  # the server is down: refuse the client too
                    client.close()
                    continue
                asked = threading.Event()
                for what, *ends in (("question", client, server), ("answer", server, client)):
                    threading.Thread(target=self._carry, args=(what, *ends, asked)).start()

    def _carry(
        self, what: str, source: socket.socket, sink: socket.socket, asked: threading.Event
    ) -> None:
        with contextlib.suppress(OSError):
            while data := source.recv(65_536):
                if what == "question" and self.after in data:
                    asked.set()
                if what in self.cuts.value and asked.is_set():
                    self.count += 1
                    if self.is_silent:
                        continue
                    break
                if what == "answer":
                    time.sleep(self.delay_s)
                sink.sendall(data)
        for end in (source, sink):
            with contextlib.suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)
        source.close()

    def close(self) -> None:
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()


@contextlib.contextmanager
def cutting_proxy(url: str, *, host: str = "127.0.0.1") -> Iterator[CuttingProxy]:
    proxy = CuttingProxy(url, host=host)
    thread = threading.Thread(target=proxy.serve)
    thread.start()
    try:
        yield proxy
    finally:
        proxy.close()
        thread.join(5)
