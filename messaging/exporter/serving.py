"""Answer GET and HEAD over HTTP from threads, within bounds of time, bytes and connections.

Nobody but a monitor and the admin asks, on loopback or an inner network: each connection carries
one request without a body. A slow or silent client holds a thread for some seconds at most.
"""

from __future__ import annotations

import contextlib
import logging
import socket
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from http import HTTPStatus

logger = logging.getLogger(__name__)

MOST_CONNECTIONS = 16  # at a time; more wait in the kernel
MOST_HEAD_BYTES = 8_192
HEAD_TIMEOUT_S = 5.0
ANSWER_TIMEOUT_S = 10.0
BACKLOG = 64


@dataclass(frozen=True, slots=True)
class Answer:
    """Hold a body with its status and type."""

    body: bytes
    content_type: str = "text/plain; charset=utf-8"
    status: HTTPStatus = HTTPStatus.OK


Routes = Mapping[str, Callable[[str], Answer]]  # by path; each is given the query


class Server:
    """Serve these routes at an address, from `start` until the process ends.

    Raises: OSError, from the constructor, when the address is taken or is none of this machine's.
    """

    def __init__(self, host: str, port: int, routes: Routes) -> None:
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        self._listener = socket.create_server((host, port), family=family, backlog=BACKLOG)
        self.port: int = self._listener.getsockname()[1]
        self._routes = routes
        self._places = threading.Semaphore(MOST_CONNECTIONS)

    def start(self) -> None:
        threading.Thread(target=self._accept, name="http", daemon=True).start()

    def close(self) -> None:
        """Take no more connections. Safe to repeat."""
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()

    def _accept(self) -> None:
        while True:
            self._places.acquire()
            try:
                connection, _ = self._listener.accept()
            except OSError as error:
                self._places.release()
                if self._listener.fileno() < 0:
                    return
                logger.warning(
                    "a connection could not be taken",
                    extra={"action": "exporter.not_accepted", "reason": str(error)},
                )
                time.sleep(0.1)  # without a free file descriptor each attempt fails at once
                continue
            threading.Thread(target=self._serve, args=[connection], daemon=True).start()

    def _serve(self, connection: socket.socket) -> None:
        try:
            with connection:
                head = _read_head(connection)
                connection.settimeout(ANSWER_TIMEOUT_S)
                connection.sendall(self._answer(head))
        except OSError:  # the client went away, or was too slow
            pass
        finally:
            self._places.release()

    def _answer(self, head: bytes) -> bytes:
        """Return the bytes of the whole answer to a request."""
        line, _, fields = head.partition(b"\r\n")
        method, _, rest = line.decode("latin-1").partition(" ")
        target, _, version = rest.rpartition(" ")
        if not head or not version.startswith("HTTP/1.") or not target.startswith("/"):
            answer = Answer(b"no request of HTTP/1.1\n", status=HTTPStatus.BAD_REQUEST)
        elif method not in ("GET", "HEAD"):
            answer = Answer(b"GET and HEAD alone\n", status=HTTPStatus.METHOD_NOT_ALLOWED)
        elif _announces_body(fields):
            answer = Answer(b"no body is taken\n", status=HTTPStatus.BAD_REQUEST)
        else:
            answer = self._route(*target.partition("?")[::2])
        return _encoded(answer, with_body=method != "HEAD")

    def _route(self, path: str, query: str) -> Answer:
        handler = self._routes.get(path)
        if handler is None:
            known = " ".join(self._routes)
            return Answer(f"not here; try {known}\n".encode(), status=HTTPStatus.NOT_FOUND)
        try:
            return handler(query)
        except Exception:
            # A fault is told to the client as well as to the log; the thread ends either way.
            logger.exception("an answer failed", extra={"action": "exporter.answer_failed"})
            return Answer(b"failed; see the log\n", status=HTTPStatus.INTERNAL_SERVER_ERROR)


def _read_head(connection: socket.socket) -> bytes:
    """Return the bytes up to the empty line; none where the head is too large or incomplete.

    Raises: OSError, and TimeoutError at the bound.
    """
    deadline_s = time.monotonic() + HEAD_TIMEOUT_S
    head = b""
    while b"\r\n\r\n" not in head:
        if (left_s := deadline_s - time.monotonic()) <= 0:
            raise TimeoutError
        connection.settimeout(left_s)
        received = connection.recv(MOST_HEAD_BYTES)
        head += received
        if not received or len(head) > MOST_HEAD_BYTES:
            return b""
    return head.partition(b"\r\n\r\n")[0]


def _announces_body(fields: bytes) -> bool:
    for line in fields.split(b"\r\n"):
        name, _, value = line.partition(b":")
        if name.strip().lower() == b"transfer-encoding":
            return True
        if name.strip().lower() == b"content-length" and value.strip() != b"0":
            return True
    return False


def _encoded(answer: Answer, *, with_body: bool) -> bytes:
    lines = [
        f"HTTP/1.1 {answer.status.value} {answer.status.phrase}",
        f"Content-Type: {answer.content_type}",
        f"Content-Length: {len(answer.body)}",
        "Cache-Control: no-store",
        "X-Content-Type-Options: nosniff",
        "Connection: close",
    ]
    if answer.status is HTTPStatus.METHOD_NOT_ALLOWED:
        lines.append("Allow: GET, HEAD")
    head = "\r\n".join([*lines, "", ""]).encode()
    return head + (answer.body if with_body else b"")
