"""Stand before a server with a TCP proxy that a test can break.

The proxy runs on a thread and an event loop of its own, so that code that blocks may use the proxy.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
import struct
import threading
from collections.abc import Coroutine
from dataclasses import dataclass
from enum import StrEnum, auto
from typing import Any, TypeVar
from urllib.parse import urlsplit

T = TypeVar("T")

CHUNK_BYTES = 64 * 1024
CALL_TIMEOUT_S = 10.0
RESET = struct.pack("ii", 1, 0)  # closed with SO_LINGER like this, a socket sends RST


class Mode(StrEnum):
    """Name how the proxy treats bytes.

    Held bytes go on when the mode changes, as if they were sent again.
    """

    PASS = auto()
    RESET = auto()  # connections end with RST at once, new ones too
    BLACK_HOLE = auto()  # taken and held, in both directions
    MUTE = auto()  # requests arrive, answers are held
    DELAY = auto()  # each chunk waits `amount` seconds
    THROTTLE = auto()  # `amount` bytes a second in each direction
    CUT = auto()  # RST after `amount` bytes of answers
    DROP = auto()  # RST in place of any bytes, in both directions


@dataclass(slots=True, eq=False)
class _Link:
    """Hold one client's connection through the proxy."""

    client: asyncio.StreamWriter
    server: asyncio.StreamWriter
    answered_bytes: int = 0
    has_asked: bool = False  # a request with the bytes `after`, for which the mode waits

    def reset(self) -> None:
        for writer in (self.client, self.server):
            sock = writer.get_extra_info("socket")
            with contextlib.suppress(OSError):
                sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
            writer.transport.abort()


class Proxy:
    """Stand before the server of a URL until `close`; `url` is the address of the proxy.

    `count`: how often the proxy has held bytes, or has ended a connection in place of bytes.
    """

    def __init__(self, url: str, *, host: str = "127.0.0.1", port: int = 0) -> None:
        there = urlsplit(url)
        self.mode = Mode.PASS
        self.count = 0
        self.leads_to = there.port or 0
        self._there = there.hostname or "", self.leads_to
        self._amount, self._after = 0.0, b""
        self._links: set[_Link] = set()
        self._changed = asyncio.Event()
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._thread.start()
        self._server = self._call(asyncio.start_server(self._serve, host, port))
        self.port: int = self._server.sockets[0].getsockname()[1]
        self.url = f"{there.scheme}://{host}:{self.port}{there.path}"

    def turn(self, mode: Mode, amount: float = 0.0, *, after: bytes = b"") -> None:
        """Set the mode for all connections, also for those that are open.

        `amount`: seconds, bytes a second or bytes, as the mode says.
        `after`: on each connection, the mode begins with a request that holds these bytes.
        """

        async def turn() -> None:
            self.mode, self._amount, self._after = mode, amount, after
            for link in list(self._links):
                link.answered_bytes, link.has_asked = 0, False
                if mode is Mode.RESET:
                    link.reset()
            self._changed.set()
            self._changed = asyncio.Event()

        self._call(turn())

    def heal(self) -> None:
        if self.mode is not Mode.PASS:
            self.turn(Mode.PASS)

    def close(self) -> None:
        async def close() -> None:
            self._server.close()
            await asyncio.sleep(0.05)  # so that the ends of the connections are seen

        self.turn(Mode.RESET)
        self._call(close())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(CALL_TIMEOUT_S)
        self._loop.close()

    def _call(self, coroutine: Coroutine[Any, Any, T]) -> T:
        return asyncio.run_coroutine_threadsafe(coroutine, self._loop).result(CALL_TIMEOUT_S)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            answers, server = await asyncio.open_connection(*self._there)
        except OSError:  # nobody listens: reset, as the client would see without a proxy
            _Link(writer, writer).reset()
            return
        link = _Link(writer, server)
        self._links.add(link)
        try:
            if self.mode is Mode.RESET:
                return
            requests = self._pump(reader, server, link, is_answer=False)
            await asyncio.gather(requests, self._pump(answers, writer, link, is_answer=True))
        except OSError:
            pass  # the other side has gone, or this proxy has reset the connection
        finally:
            self._links.discard(link)
            link.reset()

    async def _pump(
        self,
        source: asyncio.StreamReader,
        target: asyncio.StreamWriter,
        link: _Link,
        *,
        is_answer: bool,
    ) -> None:
        """Carry bytes one way until their end."""
        while data := await source.read(CHUNK_BYTES):
            if not is_answer and self._after in data:
                link.has_asked = True
            if link.has_asked or not self._after:
                await self._break(link, len(data), is_answer=is_answer)
            target.write(data)
            await target.drain()
        raise ConnectionResetError  # no protocol here half-closes

    async def _break(self, link: _Link, size: int, *, is_answer: bool) -> None:
        """Return when these bytes may go on.

        Raises: ConnectionResetError when these bytes may never go on.
        """
        if self.mode is Mode.DELAY:
            await asyncio.sleep(self._amount)
        elif self.mode is Mode.THROTTLE:
            await asyncio.sleep(size / self._amount)
        if self._holds(is_answer):
            self.count += 1
        while self._holds(is_answer):
            await self._changed.wait()
        link.answered_bytes += size * is_answer
        is_cut = self.mode is Mode.CUT and is_answer and link.answered_bytes > self._amount
        if is_cut or self.mode is Mode.DROP:
            self.count += 1
            raise ConnectionResetError

    def _holds(self, is_answer: bool) -> bool:
        return self.mode is Mode.BLACK_HOLE or (self.mode is Mode.MUTE and is_answer)
