"""Run the contract tests of the log on each kind of log, with the faults that each kind allows.

A rig is one topic of one log. The `connected` rigs use the services that scripts/services has
started and never harm them; the breakable ones have a server of their own.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import signal
import sys
import time
import uuid
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from pathlib import Path

import redis
from kafka.admin import KafkaAdminClient

from messaging.domain.backend_errors import LogUnavailable
from messaging.eventlog.kafka.inspector import KafkaLogInspector
from messaging.eventlog.kafka.reader import KafkaLogReader
from messaging.eventlog.kafka.topics import create_kafka_topics
from messaging.eventlog.kafka.writer import KafkaEventLog
from messaging.eventlog.redis_streams.entries import Keys
from messaging.eventlog.redis_streams.inspector import RedisStreamsLogInspector
from messaging.eventlog.redis_streams.reader import RedisStreamsLogReader
from messaging.eventlog.redis_streams.writer import RedisStreamsEventLog
from messaging.links import KafkaLink
from messaging.ports.audit import LogInspector
from messaging.ports.log import EventLog, LogReader
from messaging.testing.inspectors import MemoryLogInspector
from messaging.testing.log import MemoryBroker, MemoryEventLog, MemoryLogReader
from tests.support.kafka import KafkaServer
from tests.support.real_services import ROOT, free_port, running_redis

PARTITIONS = 4
GROUP = "readers"
TIMEOUT_S = 2.0  # by then every future has ended


class LogRig(ABC):
    """Hold one topic of a log: `log` writes to `topic`; `reader` adds a member to the group."""

    log: EventLog
    max_poll_interval_s = 2.0  # of the readers of this rig; a busy machine may stop for a second
    missed_after_s = 3.0  # a reader that died is out of the group by then

    def __init__(self) -> None:
        self.topic = f"test-{uuid.uuid4().hex[:12]}"
        self._readers: list[LogReader] = []
        self._inspectors: list[LogInspector] = []

    @abstractmethod
    def new_log(self, *, timeout_s: float = TIMEOUT_S) -> EventLog: ...

    @abstractmethod
    def _new_reader(self) -> LogReader: ...

    def reader(self) -> LogReader:
        reader = self._new_reader()
        self._readers.append(reader)
        return reader

    @abstractmethod
    def _new_inspector(self) -> LogInspector: ...

    def inspector(self) -> LogInspector:
        inspector = self._new_inspector()
        self._inspectors.append(inspector)
        return inspector

    async def connect(self) -> None:
        """Wait until the log answers: a busy machine may take long for the first connection."""
        deadline = time.monotonic() + 20
        while True:
            try:
                return await self.log.ping()
            except LogUnavailable:
                if time.monotonic() > deadline:
                    raise
                await asyncio.sleep(0.05)

    async def close(self) -> None:
        for opened in (*self._readers, *self._inspectors):
            await opened.close()
        await self.log.close()

    async def spoil(self, partition: int, offset: str) -> None:
        """Make the bytes of a record unreadable."""
        raise NotImplementedError

    async def reader_process(self) -> asyncio.subprocess.Process:
        """Start a reader process, which prints a line for each batch and commits nothing."""
        raise NotImplementedError

    async def stop(self) -> None:
        raise NotImplementedError

    async def start(self) -> None:
        raise NotImplementedError

    async def kill(self) -> None:
        """Stop the server without time to write or close anything."""
        await self.stop()

    def freeze(self) -> None:
        raise NotImplementedError

    def thaw(self) -> None:
        raise NotImplementedError


class MemoryRig(LogRig):
    max_poll_interval_s = 0.3
    missed_after_s = 0.5

    def __init__(self) -> None:
        super().__init__()
        self.broker = MemoryBroker(
            partitions=PARTITIONS, max_poll_interval_s=self.max_poll_interval_s
        )
        self.log = self.new_log()

    def new_log(self, *, timeout_s: float = TIMEOUT_S) -> EventLog:
        return MemoryEventLog(self.broker)

    def _new_reader(self) -> LogReader:
        return MemoryLogReader(self.broker, topic=self.topic, group=GROUP)

    def _new_inspector(self) -> LogInspector:
        return MemoryLogInspector(self.broker, topic=self.topic, group=GROUP)

    async def spoil(self, partition: int, offset: str) -> None:
        self.broker.unreadable.add((partition, int(offset)))

    async def stop(self) -> None:
        self.broker.down = True

    async def start(self) -> None:
        self.broker.down = False

    def freeze(self) -> None:
        self.broker.down = True

    def thaw(self) -> None:
        self.broker.down = False


class StreamsRig(LogRig):
    lease_s = 2.0

    def __init__(self, url: str) -> None:
        super().__init__()
        self.url = url
        self.log = self.new_log()

    def new_log(self, *, timeout_s: float = TIMEOUT_S) -> EventLog:
        return RedisStreamsEventLog(
            self.url,
            partitions=PARTITIONS,
            timeout_s=0.5,
            trip_timeout_s=timeout_s / 2,
            longest={},
        )

    def arguments(self) -> dict[str, object]:
        return {
            "topic": self.topic,
            "group": GROUP,
            "partitions": PARTITIONS,
            "timeout_s": 0.5,
            "lease_s": self.lease_s,
            "max_poll_interval_s": self.max_poll_interval_s,
        }

    def _new_reader(self) -> LogReader:
        return RedisStreamsLogReader(self.url, **self.arguments())  # type: ignore[arg-type]

    def _new_inspector(self) -> LogInspector:
        return RedisStreamsLogInspector(
            self.url, topic=self.topic, group=GROUP, partitions=PARTITIONS, timeout_s=2.0
        )

    async def reader_process(self) -> asyncio.subprocess.Process:
        return await _reader_process("RedisStreamsLogReader", self.url, self.arguments())

    async def spoil(self, partition: int, offset: str) -> None:
        """Write the stream anew with the entry spoilt, because streams cannot change an entry."""
        stream = Keys(self.topic).stream(partition)
        with redis.Redis.from_url(self.url, protocol=2) as client:
            entries = client.xrange(stream)
            client.delete(stream)
            for entry_id, fields in entries:
                spoilt = {b"v": fields[b"v"], b"h": b"{"}
                client.xadd(stream, spoilt if entry_id.decode() == offset else fields, entry_id)

    async def close(self) -> None:
        await super().close()
        with redis.Redis.from_url(self.url) as client:
            for key in client.scan_iter(f"im:log:{self.topic}:*"):
                client.delete(key)


class BreakableStreamsRig(StreamsRig):
    def __init__(self, directory: Path) -> None:
        self._port = free_port()
        self._directory = directory
        self._server = contextlib.ExitStack()
        self._run()
        super().__init__(f"redis://127.0.0.1:{self._port}/0")

    def _run(self) -> None:
        url = self._server.enter_context(running_redis(self._directory, port=self._port))
        with redis.Redis.from_url(url) as client:
            self._pid = int(client.info("server")["process_id"])

    async def stop(self) -> None:
        await asyncio.to_thread(self._server.close)

    async def kill(self) -> None:
        os.kill(self._pid, signal.SIGKILL)
        await self.stop()

    async def start(self) -> None:
        await asyncio.to_thread(self._run)

    def freeze(self) -> None:
        os.kill(self._pid, signal.SIGSTOP)

    def thaw(self) -> None:
        os.kill(self._pid, signal.SIGCONT)

    async def close(self) -> None:
        await super().close()
        self._server.close()


class KafkaRig(LogRig):
    missed_after_s = 8.0  # a broker allows no session below 6 s unless told to
    session_s = 6.0

    def __init__(self, url: str) -> None:
        super().__init__()
        self.link = KafkaLink((url.removeprefix("kafka://"),))
        create_kafka_topics(self.link, topics=[self.topic], partitions=PARTITIONS)
        self.log = self.new_log()

    def new_log(self, *, timeout_s: float = TIMEOUT_S) -> EventLog:
        return KafkaEventLog(self.link, topics=[self.topic], timeout_s=timeout_s)

    def arguments(self) -> dict[str, object]:
        return {
            "topic": self.topic,
            "group": f"{GROUP}-{self.topic}",
            "session_s": self.session_s,
            "max_poll_interval_s": self.max_poll_interval_s,
        }

    def _new_reader(self) -> LogReader:
        return KafkaLogReader(self.link, **self.arguments())  # type: ignore[arg-type]

    def _new_inspector(self) -> LogInspector:
        group = str(self.arguments()["group"])
        return KafkaLogInspector(self.link, topic=self.topic, group=group, partitions=PARTITIONS)

    async def reader_process(self) -> asyncio.subprocess.Process:
        return await _reader_process("KafkaLogReader", self.link.servers, self.arguments())

    async def close(self) -> None:
        await super().close()
        with contextlib.closing(KafkaAdminClient(bootstrap_servers=self.link.servers)) as admin:
            admin.delete_topics([self.topic])


class BreakableKafkaRig(KafkaRig):
    missed_after_s = 3.0
    session_s = 1.5

    def __init__(self, server: KafkaServer) -> None:
        self.server = server
        super().__init__(server.url)

    async def stop(self) -> None:
        await asyncio.to_thread(self.server.stop)

    async def kill(self) -> None:
        await asyncio.to_thread(self.server.kill)

    async def start(self) -> None:
        await asyncio.to_thread(self.server.start)

    def freeze(self) -> None:
        self.server.freeze()

    def thaw(self) -> None:
        self.server.thaw()

    async def spoil(self, partition: int, offset: str) -> None:
        await asyncio.to_thread(self.server.spoil, self.topic, partition, int(offset))


async def _reader_process(
    kind: str, where: str | tuple[str, ...], arguments: Mapping[str, object]
) -> asyncio.subprocess.Process:
    return await asyncio.create_subprocess_exec(
        sys.executable,
        *("-m", "tests.support.reader_process", kind, json.dumps(where), json.dumps(arguments)),
        cwd=ROOT,
        stdout=asyncio.subprocess.PIPE,
    )


async def eventually(condition: Callable[[], bool], *, within_s: float) -> None:
    deadline = asyncio.get_running_loop().time() + within_s
    while not condition():
        assert asyncio.get_running_loop().time() < deadline, "not in time"
        await asyncio.sleep(0.02)
