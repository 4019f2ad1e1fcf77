"""Test the kernel's own timeout for data that a client does not take."""

from __future__ import annotations

import select
import socket
from collections.abc import Iterator

import pytest

from imsite import connections

SOON_S = 1.0
LONG_MS = 20_000


@pytest.fixture
def listener() -> Iterator[socket.socket]:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        yield listener


async def test_a_client_that_takes_nothing_loses_its_connection(
    listener: socket.socket, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(connections, "UNTAKEN_TIMEOUT_S", SOON_S)
    await connections.end_untaken()
    with socket.socket() as client, socket.socket() as silent:
        for each in (client, silent):
            each.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4_096)
            each.connect(listener.getsockname())
        filled, idle = listener.accept()[0], listener.accept()[0]
        with filled, idle:
            filled.setblocking(False)
            with pytest.raises(BlockingIOError):
                while True:
                    filled.send(b"x" * 65_536)
            ended = select.poll()
            ended.register(filled, select.POLLERR)
            assert ended.poll(LONG_MS)
            with pytest.raises(TimeoutError):
                filled.send(b"x")
            idle.sendall(b"x")  # no data was waiting on this connection
            assert silent.recv(1) == b"x"


async def test_where_nobody_listens_it_is_told(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(connections, "CHECK_FOR_S", 0.2)
    monkeypatch.setattr(connections, "bound_listeners", lambda _option: 0)
    await connections.end_untaken()
    assert caplog.records[-1].message == "connections have no write timeout"
