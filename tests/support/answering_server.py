"""A small HTTP server whose every answer is told beforehand: in pieces, late, broken or none."""

from __future__ import annotations

import contextlib
import itertools
import socketserver
import threading
import time
from collections.abc import Callable, Iterator, Sequence

Step = bytes | float | None
"""Bytes are sent, a number is a pause in seconds, None ends the connection."""

SENT = b'{"code":200,"data":{"messageId":"%d","durability":"log"}}'


def http(body: bytes, status: str = "200 OK") -> bytes:
    return f"HTTP/1.1 {status}\r\ncontent-length: {len(body)}\r\n\r\n".encode() + body


class AnsweringServer:
    """`answer` tells what is done for the n-th request, counted from 1 over all connections."""

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
    """The length of the body that follows; 0 at the end of the connection."""
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

    with Server(("127.0.0.1", 0), Handler) as server:
        made.port = server.server_address[1]
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            yield made
        finally:
            server.shutdown()
            thread.join()
