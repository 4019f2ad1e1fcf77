"""Open one connection of the load, and keep the request that is under way on it."""

from __future__ import annotations

import socket
from collections.abc import Callable, Sequence
from itertools import cycle

from bench.load.traffic import Sender

SEND_BUFFER_BYTES = 262_144  # a request always fits: no other one is under way on its connection
CONNECT_TIMEOUT_S = 0.05


class Connection:
    """Hold a connection, the senders that take turns on it, and the request under way."""

    __slots__ = ("due_ns", "next_sender", "partial", "receive", "sender", "sent_ns", "socket")

    def __init__(self, senders: Sequence[Sender]) -> None:
        self.next_sender: Callable[[], Sender] = cycle(senders).__next__
        self.sender: Sender | None = None  # None: nothing is under way
        self.partial = b""
        self.due_ns = self.sent_ns = 0

    def open(self, address: tuple[str, int]) -> None:
        """Connect to the address.

        Raises: OSError when nobody answers.
        """
        self.socket = socket.create_connection(address, CONNECT_TIMEOUT_S)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, SEND_BUFFER_BYTES)
        self.socket.setblocking(False)
        self.receive = self.socket.recv
        self.partial = b""
