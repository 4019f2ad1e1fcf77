"""Test that the proxy does to real connections what its mode says."""

from __future__ import annotations

import contextlib
import socket
import threading
import time
from collections.abc import Iterator

import pytest

from tests.faults.proxy import Mode, Proxies
from tests.support.real_services import free_port

SOON_S = 0.3


@pytest.fixture
def upstream() -> Iterator[int]:
    """Return the port of a server that sends back the bytes that it gets."""
    with socket.create_server(("127.0.0.1", 0)) as server:

        def serve() -> None:
            with contextlib.suppress(OSError):
                while True:
                    connection, _ = server.accept()
                    threading.Thread(target=echo, args=[connection], daemon=True).start()

        def echo(connection: socket.socket) -> None:
            with connection, contextlib.suppress(OSError):
                while data := connection.recv(4096):
                    connection.sendall(data)

        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        yield server.getsockname()[1]
        server.shutdown(socket.SHUT_RDWR)
        thread.join(5)


@pytest.fixture
def proxies(upstream: int) -> Iterator[Proxies]:
    proxies = Proxies()
    proxies.add("echo", port=free_port(), upstream_port=upstream)
    yield proxies
    proxies.close()


@pytest.fixture
def client(proxies: Proxies) -> Iterator[socket.socket]:
    """Return a client that is connected, and was answered once."""
    with connect(proxies) as connection:
        assert asked(connection, b"one") == b"one"
        yield connection


def connect(proxies: Proxies, name: str = "echo") -> socket.socket:
    return socket.create_connection(("127.0.0.1", proxies.port(name)), timeout=SOON_S)


def asked(connection: socket.socket, data: bytes) -> bytes:
    connection.sendall(data)
    return connection.recv(4096)


def test_a_reset_ends_old_connections_and_new_ones(proxies: Proxies, client: socket.socket) -> None:
    proxies.turn("echo", Mode.RESET)
    with pytest.raises(ConnectionError):
        asked(client, b"two")
    with pytest.raises(ConnectionError), connect(proxies) as other:
        asked(other, b"two")
    proxies.heal()
    with connect(proxies) as other:
        assert asked(other, b"three") == b"three"


@pytest.mark.parametrize("mode", [Mode.BLACK_HOLE, Mode.MUTE])
def test_what_is_held_arrives_late(proxies: Proxies, client: socket.socket, mode: Mode) -> None:
    proxies.turn("echo", mode)
    with pytest.raises(TimeoutError):
        asked(client, b"two")
    proxies.heal()
    assert client.recv(4096) == b"two"


def test_a_delay_lasts_as_long_in_each_direction(proxies: Proxies, client: socket.socket) -> None:
    proxies.turn("echo", Mode.DELAY, 0.1)
    began_s = time.monotonic()
    assert asked(client, b"two") == b"two"
    assert time.monotonic() - began_s > 0.19


def test_a_throttle_lets_so_many_bytes_through(proxies: Proxies, client: socket.socket) -> None:
    proxies.turn("echo", Mode.THROTTLE, 10_000)
    began_s = time.monotonic()
    assert len(asked(client, bytes(1_000))) == 1_000
    assert time.monotonic() - began_s > 0.19


def test_a_cut_comes_after_so_many_bytes_of_answers(
    proxies: Proxies, client: socket.socket
) -> None:
    proxies.turn("echo", Mode.CUT, 10)
    assert asked(client, b"0123456789") == b"0123456789"
    with pytest.raises(ConnectionError):
        asked(client, b"x")


def test_a_server_that_is_gone_looks_like_one(proxies: Proxies) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
    proxies.add("gone", port=free_port(), upstream_port=port)
    with pytest.raises(ConnectionError), connect(proxies, "gone") as client:
        asked(client, b"one")
