"""Use a running service from outside: by HTTP, processes and files alone."""

from __future__ import annotations

import asyncio
import contextlib
import http.client
import secrets
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path

import redis

from messaging.cache import keys
from messaging.conf import Settings
from messaging.eventlog import open_log
from messaging.ports.log import OutgoingRecord
from tests.support.http_client import Answer, Client
from tests.support.processes import ServiceProcesses, clean_environment, wait_until
from tests.support.real_services import ROOT
from tests.support.service import User

PASSWORD = "correct horse battery"
TIMEOUT_S = 30.0
PERSIST_TIMEOUT_S = 30.0
WHOLE_TIMEOUT_S = 20.0


@dataclass(frozen=True)
class Site:
    service: ServiceProcesses

    @property
    def is_full(self) -> bool:
        return "IM_EVENT_LOG_URL" in self.service.environment

    @cached_property
    def anybody(self) -> Client:
        """Return a client without a token: one connection a call, so that any worker may answer."""
        return Client(self._exchange_whole)

    def _exchange_whole(
        self, method: str, target: str, headers: Mapping[str, str], pieces: Sequence[bytes]
    ) -> Answer:
        """Ask again for a page that is `partial`, as a client does.

        A page is partial when Redis was started just now, or when a process lost Redis a moment
        ago.
        """
        answers: list[Answer] = []

        def is_whole() -> bool:
            answers.append(self.exchange(method, target, headers, pieces))
            return b'"partial":true' not in answers[-1].content

        wait_until(is_whole, limit_s=WHOLE_TIMEOUT_S, what=f"{target} is whole")
        return answers[-1]

    def exchange(
        self, method: str, target: str, headers: Mapping[str, str], pieces: Sequence[bytes]
    ) -> Answer:
        connection = http.client.HTTPConnection("127.0.0.1", self.service.port, timeout=TIMEOUT_S)
        with contextlib.closing(connection):
            connection.request(method, target, b"".join(pieces), dict(headers))
            answer = connection.getresponse()
            names = {name.lower(): value for name, value in answer.getheaders()}
            return Answer(answer.status, names, answer.read())

    def page(self, path: str) -> Answer:
        """Return a page of the site that is not one of the API."""
        return self.exchange("GET", path, {}, [])

    @cached_property
    def pairs(self) -> Iterator[tuple[User, User]]:
        """Yield pairs of users who have never written to each other, of few users in all."""

        def pairs() -> Iterator[tuple[User, User]]:
            known: list[User] = []
            while True:
                newcomer = self.register()
                yield from ((newcomer, each) for each in known)
                known.append(newcomer)

        return pairs()

    def register(self) -> User:
        credentials = {"username": f"user-{secrets.token_hex(8)}", "password": PASSWORD}
        data = self.anybody.post("/api/user/register", credentials).data
        return User(data["userId"], replace(self.anybody, token=data["token"]))

    def make_group(self, *members: User, mode: str | None = None) -> str:
        """Insert a new group of these users, the first of whom is the owner, and return its id."""
        ids = [int(member.id) for member in members]
        return self.manage(
            "shell",
            "--command",
            "from bench.laps.group_rows import insert_group\n"
            f"print(insert_group('group', {ids}, mode={mode!r}))",
        ).split()[-1]

    def manage(self, *command: str) -> str:
        """Return the output of `manage.py` with this service's settings."""
        return subprocess.run(
            [sys.executable, ROOT / "manage.py", *command],
            env=clean_environment(**self.service.environment),
            capture_output=True,
            check=True,
            text=True,
            timeout=60,
        ).stdout

    def append(self, *records: OutgoingRecord) -> None:
        """Append records to the log of the service, past its doors."""
        environment = self.service.environment
        redis_url = environment["IM_REDIS_URL"]
        url = environment.get("IM_EVENT_LOG_URL", redis_url)
        topic = environment.get("IM_TOPIC", Settings.__dataclass_fields__["topic"].default)

        async def append() -> None:
            log = open_log(url, Settings(redis_url=redis_url, event_log_url=url, topic=topic))
            await asyncio.gather(*await log.append(topic, records))
            await log.close()

        asyncio.run(append())

    @contextlib.contextmanager
    def without(self, program: str) -> Iterator[None]:
        """Stop the program during the block, and start it afterwards."""
        with self.service.supervisor() as supervisor:
            supervisor.stopProcess(program)
        try:
            yield
        finally:
            with self.service.supervisor() as supervisor:
                supervisor.startProcess(program)

    def await_stored(self, reader: User, *message_ids: str) -> None:
        """Return once the reader is told that all of these messages are PERSISTED."""

        def are_stored() -> bool:
            answers = [reader.read(message_id) for message_id in message_ids]
            return all(answer.data["persistStatus"] == "PERSISTED" for answer in answers)

        wait_until(are_stored, limit_s=PERSIST_TIMEOUT_S, what=f"{len(message_ids)} are stored")

    def pending(self) -> int:
        """Return the number of messages that are acknowledged and not in the database."""
        with redis.Redis.from_url(self.service.environment["IM_REDIS_URL"]) as client:
            return int(client.zcard(keys.PENDING))

    @property
    def log(self) -> str:
        """Return the text of the service's log file, with the rotated files."""
        files = Path(self.service.environment["LOG_DIR"]).glob("*.log*")
        return "\n".join(path.read_text(errors="replace") for path in sorted(files))

    @property
    def said(self) -> str:
        """Return all that the service wrote: the log file, and the output after the banner."""
        return self.log + self.service.output.partition("stops it")[2]


def worker_pids(service: ServiceProcesses) -> set[int]:
    """Return the pids of the processes that serve HTTP; none while the web starts anew."""
    main = service.pid("web")
    with contextlib.suppress(OSError):
        children = Path(f"/proc/{main}/task/{main}/children").read_text().split()
        return {int(pid) for pid in children}
    return set()
