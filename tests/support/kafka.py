"""Run a Kafka broker that one test stops, kills and freezes."""

from __future__ import annotations

from pathlib import Path

from tests.support.real_services import free_port
from tests.support.servers import Servers


class KafkaServer:
    """Run a Kafka broker with scripts/services, on free loopback ports.

    The jars are those that scripts/services has fetched; `connected` tells whether they are there.
    Groups may have sessions of a second, and a killed broker is let in again as fast. Clients are
    sent to the port `advertised`, the port of a proxy, which leads to `port`.
    """

    def __init__(
        self, directory: Path, *, port: int | None = None, advertised: int | None = None
    ) -> None:
        port = port or free_port()
        advertised = advertised or port
        self.url = f"kafka://127.0.0.1:{advertised}"
        self._servers = Servers(directory, ports={"kafka": port}, proxy_ports={"kafka": advertised})

    def start(self) -> None:
        self._servers.start("kafka")

    def stop(self) -> None:
        self._servers.stop("kafka")

    def kill(self) -> None:
        self._servers.kill("kafka")

    def freeze(self) -> None:
        """Stop the broker with SIGSTOP: the broker holds its connections and does not answer."""
        self._servers.freeze("kafka")

    def thaw(self) -> None:
        self._servers.thaw("kafka")

    def spoil(self, topic: str, partition: int, offset: int) -> None:
        """Turn one bit on the disk in the batch that begins at this offset, as a bad disk would.

        The broker is stopped and started.
        """
        self.stop()
        segment = self._servers.home / "kafka" / "data" / f"{topic}-{partition}" / f"{0:020}.log"
        content = bytearray(segment.read_bytes())
        start = 0
        while int.from_bytes(content[start : start + 8]) != offset:
            start += 12 + int.from_bytes(content[start + 8 : start + 12])
        content[start + 12 + int.from_bytes(content[start + 8 : start + 12]) - 2] ^= 1
        segment.write_bytes(content)
        self.start()
