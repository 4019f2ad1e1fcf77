"""Answer GET and HEAD over HTTP by the standard library's server, within bounds.

Nobody but a monitor and the admin asks, on loopback or an inner network. A connection carries one
request without a body. A silent client holds a thread for HEAD_TIMEOUT_S.
"""

from __future__ import annotations

import logging
import socket
import socketserver
import sys
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

logger = logging.getLogger(__name__)

MOST_CONNECTIONS = 16  # at a time; more wait in the kernel
HEAD_TIMEOUT_S = 5.0  # for each piece of a request
ANSWER_TIMEOUT_S = 10.0
BACKLOG = 64


@dataclass(frozen=True, slots=True)
class Answer:
    """Hold a body with its status and type."""

    body: bytes
    content_type: str = "text/plain; charset=utf-8"
    status: HTTPStatus = HTTPStatus.OK


Routes = Mapping[str, Callable[[str], Answer]]  # by path; each is given the query


class Server(ThreadingHTTPServer):
    """Serve these routes at an address, from `start` until the process ends.

    Raises: OSError, from the constructor, when the address is taken or is none of this machine's.
    """

    request_queue_size = BACKLOG

    def __init__(self, host: str, port: int, routes: Routes) -> None:
        self.address_family = socket.AF_INET6 if ":" in host else socket.AF_INET
        self.routes = routes
        self._places = threading.Semaphore(MOST_CONNECTIONS)
        super().__init__((host, port), _Handler)
        self.port: int = self.socket.getsockname()[1]

    def server_bind(self) -> None:
        """Bind without asking a name server for this machine's name, as HTTPServer does."""
        socketserver.TCPServer.server_bind(self)

    def start(self) -> None:
        threading.Thread(target=self.serve_forever, name="http", daemon=True).start()

    def close(self) -> None:
        """Take no more connections, after `start`. Safe to repeat."""
        self.shutdown()
        self.server_close()

    def process_request(self, request: Any, client_address: Any) -> None:
        self._places.acquire()
        super().process_request(request, client_address)

    def process_request_thread(self, request: Any, client_address: Any) -> None:
        try:
            super().process_request_thread(request, client_address)
        finally:
            self._places.release()

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Log the error of a request, unless its client went away or was too slow."""
        error = sys.exc_info()[1]
        if not isinstance(error, OSError):
            logger.error("a request failed", extra={"action": "request.failed"}, exc_info=error)


class _Handler(BaseHTTPRequestHandler):
    server: Server
    timeout = HEAD_TIMEOUT_S

    def do_GET(self) -> None:
        """Answer with the whole body; HEAD leaves the body out."""
        path, _, query = self.path.partition("?")
        has_length = self.headers.get("Content-Length", "0") != "0"
        if has_length or "Transfer-Encoding" in self.headers or not path.startswith("/"):
            self._send(Answer(b"no body is taken\n", status=HTTPStatus.BAD_REQUEST))
        else:
            self._send(self._answer(path, query))

    do_HEAD = do_GET

    def _answer(self, path: str, query: str) -> Answer:
        handler = self.server.routes.get(path)
        if handler is None:
            known = " ".join(self.server.routes)
            return Answer(f"not here; try {known}\n".encode(), status=HTTPStatus.NOT_FOUND)
        try:
            return handler(query)
        except Exception:
            # A fault is told to the client as well as to the log; the thread ends either way.
            logger.exception("an answer failed", extra={"action": "exporter.answer_failed"})
            return Answer(b"failed; see the log\n", status=HTTPStatus.INTERNAL_SERVER_ERROR)

    def _send(self, answer: Answer) -> None:
        self.connection.settimeout(ANSWER_TIMEOUT_S)
        self.send_response(answer.status)
        self.send_header("Content-Type", answer.content_type)
        self.send_header("Content-Length", str(len(answer.body)))
        self.send_header("Cache-Control", "no-store")
        self.send_header("X-Content-Type-Options", "nosniff")
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(answer.body)

    def version_string(self) -> str:
        return "exporter"

    def log_message(self, *_: object) -> None:
        """Log no request: a monitor asks every few seconds."""
