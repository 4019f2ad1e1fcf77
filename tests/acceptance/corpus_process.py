"""Run the corpus load as a process of its own, while a test kills parts of the service."""

from __future__ import annotations

import contextlib
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from tests.support.processes import ServiceProcesses, clean_environment, wait_until
from tests.support.real_services import ROOT

USERS = 6  # with a conversation between each two
MESSAGES = 100_000  # more than are ever sent
ANSWER_TIMEOUT_S = 120.0


@dataclass(frozen=True, slots=True)
class LoadOutcome:
    """Hold the figures of a load in which no message was missing, doubled, altered or misplaced."""

    acknowledged: int
    tried_again: int
    overtaken: int


@dataclass(frozen=True, slots=True)
class CorpusLoad:
    process: subprocess.Popen[bytes]
    output: Path

    @property
    def sent(self) -> int:
        """Return the number of acknowledged messages, as last printed by the load."""
        counts = re.findall(r"sent +([\d,]+) of", self.output.read_text())
        return int(counts[-1].replace(",", "")) if counts else 0

    def await_sent(self, count: int) -> None:
        """Return when `count` more messages are acknowledged."""
        goal = self.sent + count

        def is_reached() -> bool:
            assert self.process.poll() is None, self.output.read_text()[-4_000:]
            return self.sent >= goal

        wait_until(is_reached, limit_s=60, what=f"{count} messages more")

    def finish(self) -> LoadOutcome:
        """End the sending and account for everything.

        Raises: AssertionError when a message was missing, doubled, altered or misplaced.
        """
        self.process.send_signal(signal.SIGINT)
        status = self.process.wait(ANSWER_TIMEOUT_S)
        text = self.output.read_text()
        assert status == 0, text[-4_000:]
        numbers = [
            re.search(rf"{name} +([\d,]+)", text)
            for name in ("acknowledged", "tried again", "overtaken")
        ]
        return LoadOutcome(*(int(number[1].replace(",", "")) for number in numbers if number))


@contextlib.contextmanager
def running_load(service: ServiceProcesses) -> Iterator[CorpusLoad]:
    """Run users who write to each other, and repeat a send without an answer, until `finish`."""
    own = service.var_dir.with_name("load")  # its own `VAR_DIR`: the load is no part of the service
    own.mkdir(exist_ok=True)
    database = {"IM_DATABASE_URL": f"sqlite:///{service.var_dir / 'im.sqlite3'}"}
    environment = database | service.environment | {"VAR_DIR": str(own), "LOG_DIR": str(own)}
    command = [sys.executable, "-m", "tests.acceptance.corpus_load", "--keep-trying"]
    options = {"base-url": service.base_url, "messages": MESSAGES, "users": USERS}
    arguments = [f"--{name}={value}" for name, value in options.items()]
    with (own / "output").open("wb") as file:
        process = subprocess.Popen(
            command + arguments,
            cwd=ROOT,
            env=clean_environment(**environment),
            stdout=file,
            stderr=subprocess.STDOUT,
        )
    try:
        yield CorpusLoad(process, own / "output")
    finally:
        if process.poll() is None:
            process.kill()
        process.wait()
