"""Stand before each service of the rig with a TCP proxy that a test can break.

The proxies run on a thread and an event loop of their own, so that code that blocks may use them.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
import struct
import threading
from collections.abc import Coroutine
from dataclasses import dataclass, field
from enum import StrEnum, auto
from typing import Any, TypeVar

T = TypeVar("T")

CHUNK_BYTES = 64 * 1024
CALL_TIMEOUT_S = 10.0
RESET = struct.pack("ii", 1, 0)  # closed with SO_LINGER like this, a socket sends RST


class Mode(StrEnum):
    """Name what becomes of the bytes.

    Held bytes go on when the mode changes, as if they were sent again.
    """

    PASS = auto()
    RESET = auto()  # connections end with RST at once, new ones too
    BLACK_HOLE = auto()  # taken and held, in both directions
    MUTE = auto()  # requests arrive, answers are held
    DELAY = auto()  # each chunk waits `amount` seconds
    THROTTLE = auto()  # `amount` bytes a second in each direction
    CUT = auto()  # RST after `amount` bytes of answers


@dataclass(slots=True, eq=False)
class _Link:
    """Hold one client's connection through the proxy."""

    client: asyncio.StreamWriter
    server: asyncio.StreamWriter
    answered_bytes: int = 0

    def reset(self) -> None:
        for writer in (self.client, self.server):
            sock = writer.get_extra_info("socket")
            with contextlib.suppress(OSError):
                sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
            writer.transport.abort()


@dataclass(slots=True)
class Proxy:
    """Carry one listening port to the port of one service; both are on loopback.

    A proxy belongs to its loop.
    """

    port: int
    upstream_port: int
    mode: Mode = Mode.PASS
    amount: float = 0.0
    _links: set[_Link] = field(default_factory=set)
    _changed: asyncio.Event = field(default_factory=asyncio.Event)

    async def listen(self) -> asyncio.Server:
        return await asyncio.start_server(self._serve, "127.0.0.1", self.port)

    def turn(self, mode: Mode, amount: float) -> None:
        self.mode, self.amount = mode, amount
        for link in self._links:
            link.answered_bytes = 0
        self._changed.set()
        self._changed = asyncio.Event()
        if mode is Mode.RESET:
            for link in list(self._links):
                link.reset()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            answers, server = await asyncio.open_connection("127.0.0.1", self.upstream_port)
        except OSError:  # nobody listens: reset, as the client would see without a proxy
            _Link(writer, writer).reset()
            return
        link = _Link(writer, server)
        self._links.add(link)
        try:
            if self.mode is Mode.RESET:
                return
            pumps = (self._pump(reader, server), self._pump(answers, writer, link))
            await asyncio.gather(*pumps)
        except OSError:
            pass  # the other side has gone, or this proxy has reset it
        finally:
            self._links.discard(link)
            link.reset()

    async def _pump(
        self, source: asyncio.StreamReader, target: asyncio.StreamWriter, link: _Link | None = None
    ) -> None:
        """Carry bytes one way until their end; `link` is given with the way of the answers."""
        while data := await source.read(CHUNK_BYTES):
            await self._hold(len(data), is_answer=link is not None)
            if link is not None:
                link.answered_bytes += len(data)
                if self.mode is Mode.CUT and link.answered_bytes > self.amount:
                    raise ConnectionResetError
            target.write(data)
            await target.drain()
        raise ConnectionResetError  # no protocol here half-closes

    async def _hold(self, size: int, *, is_answer: bool) -> None:
        if self.mode is Mode.DELAY:
            await asyncio.sleep(self.amount)
        elif self.mode is Mode.THROTTLE:
            await asyncio.sleep(size / self.amount)
        while self.mode is Mode.BLACK_HOLE or (self.mode is Mode.MUTE and is_answer):
            await self._changed.wait()


class Proxies:
    """Hold all proxies of a rig, by name, until `close`."""

    def __init__(self) -> None:
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._thread.start()
        self._proxies: dict[str, Proxy] = {}
        self._servers: list[asyncio.Server] = []

    def add(self, name: str, *, port: int, upstream_port: int) -> None:
        async def add() -> None:
            proxy = self._proxies[name] = Proxy(port, upstream_port)
            self._servers.append(await proxy.listen())

        self._call(add())

    def port(self, name: str) -> int:
        """Return the port to which clients connect."""
        return self._proxies[name].port

    def turn(self, name: str, mode: Mode, amount: float = 0.0) -> None:
        """Set the mode of a proxy for all connections, also for those that are open."""

        async def turn() -> None:
            self._proxies[name].turn(mode, amount)

        self._call(turn())

    def heal(self) -> None:
        for name, proxy in self._proxies.items():
            if proxy.mode is not Mode.PASS:
                self.turn(name, Mode.PASS)

    def close(self) -> None:
        async def close() -> None:
            for server in self._servers:
                server.close()
            for proxy in self._proxies.values():
                proxy.turn(Mode.RESET, 0.0)
            await asyncio.sleep(0.05)  # so that the ends of the connections are seen

        self._call(close())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(CALL_TIMEOUT_S)
        self._loop.close()

    def _call(self, coroutine: Coroutine[Any, Any, T]) -> T:
        return asyncio.run_coroutine_threadsafe(coroutine, self._loop).result(CALL_TIMEOUT_S)
