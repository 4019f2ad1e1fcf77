"""Serve HTTP with answers that a test scripts beforehand: in pieces, late, broken or none."""

from __future__ import annotations

import contextlib
import itertools
import socketserver
import time
from collections.abc import Callable, Iterator, Sequence

from tests.support.serving import serving

Step = bytes | float | None
"""Describe a step of an answer: bytes to send, a pause in seconds, or None: the connection ends."""

SENT = b'{"code":200,"data":{"messageId":"%d","durability":"log"}}'


def http(body: bytes, status: str = "200 OK") -> bytes:
    return f"HTTP/1.1 {status}\r\ncontent-length: {len(body)}\r\n\r\n".encode() + body


class AnsweringServer:
    """Answer the n-th request, counted from 1 over all connections, by the steps `answer(n)`."""

    def __init__(self, answer: Callable[[int], Sequence[Step]]) -> None:
        self._answer = answer
        self._numbers = itertools.count(1)
        self.port = 0

    def serve(self, request: socketserver.StreamRequestHandler) -> None:
        with contextlib.suppress(OSError):
            while length := _read_head(request):
                request.rfile.read(length)
                for step in self._answer(next(self._numbers)):
                    if step is None:
                        return
                    if isinstance(step, bytes):
                        request.wfile.write(step)
                    else:
                        time.sleep(step)


def _read_head(request: socketserver.StreamRequestHandler) -> int:
    """Read a head and return the length of the body behind it; 0 at the end of the connection."""
    length = 0
    while (line := request.rfile.readline()) not in (b"\r\n", b""):
        if line.startswith(b"Content-Length:"):
            length = int(line.split(b":")[1])
    return length


@contextlib.contextmanager
def answering(answer: Callable[[int], Sequence[Step]]) -> Iterator[AnsweringServer]:
    made = AnsweringServer(answer)

    class Handler(socketserver.StreamRequestHandler):
        disable_nagle_algorithm = True

        def handle(self) -> None:
            made.serve(self)

    class Server(socketserver.ThreadingTCPServer):
        request_queue_size = 64

    with serving(Server(("127.0.0.1", 0), Handler)) as made.port:
        yield made
