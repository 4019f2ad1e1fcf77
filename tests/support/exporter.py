"""Run `manage.py run_exporter` as a process, and read its answers."""

from __future__ import annotations

import contextlib
import http.client
import json
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from prometheus_client.parser import text_string_to_metric_families

from tests.support.processes import clean_environment, wait_until
from tests.support.real_services import ROOT, free_port

Labels = frozenset[tuple[str, str]]
START_TIMEOUT_S = 60.0
ANSWER_TIMEOUT_S = 30.0


class Numbers(dict[tuple[str, Labels], float]):
    """Hold the numbers of one scrape, by name and labels."""

    def of(self, name: str, **labels: str) -> float | None:
        """Return a number; None where there is no such series."""
        return self.get((name, frozenset(labels.items())))

    def names(self) -> set[str]:
        return {name for name, _ in self}

    def sources(self) -> dict[str, bool]:
        """Return whether each source has answered."""
        return {
            dict(labels)["source"]: bool(value)
            for (name, labels), value in self.items()
            if name == "im_source_ok"
        }


class RunningExporter:
    """Ask one exporter, which runs until the block of `running_exporter` ends."""

    def __init__(self, process: subprocess.Popen[str], port: int) -> None:
        self.process = process
        self.port = port
        self.slowest_s = 0.0  # of all answers

    def get(self, path: str) -> tuple[int, bytes]:
        began_s = time.monotonic()
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=ANSWER_TIMEOUT_S)
        with contextlib.closing(connection):
            connection.request("GET", path)
            answer = connection.getresponse()
            status, body = answer.status, answer.read()
        self.slowest_s = max(self.slowest_s, time.monotonic() - began_s)
        return status, body

    def text(self) -> str:
        status, body = self.get("/metrics")
        assert status == 200
        return body.decode()

    def numbers(self) -> Numbers:
        return Numbers(
            {
                (sample.name, frozenset(sample.labels.items())): sample.value
                for family in text_string_to_metric_families(self.text())
                for sample in family.samples
            }
        )

    def samples(self, after_ms: int = 0) -> list[dict[str, Any]]:
        status, body = self.get(f"/samples.json?after={after_ms}")
        assert status == 200
        return list(json.loads(body)["samples"])

    def _answers(self) -> bool:
        assert self.process.poll() is None, "the exporter has ended"
        try:
            return self.get("/health")[0] == 200
        except OSError:
            return False

    def wait(self) -> None:
        wait_until(self._answers, limit_s=START_TIMEOUT_S, what="the exporter answers")


def start_exporter(directory: Path, port: int, **variables: str) -> subprocess.Popen[str]:
    """Start the command; its counts and its output are in this directory."""
    directory.mkdir(exist_ok=True, parents=True)
    environment = clean_environment(
        VAR_DIR=str(directory), LOG_DIR=str(directory / "logs"), **variables
    )
    with (directory / "output").open("w") as output:
        return subprocess.Popen(
            [sys.executable, ROOT / "manage.py", "run_exporter", "--port", str(port)],
            env=environment,
            stdout=output,
            stderr=subprocess.STDOUT,
            text=True,
        )


@contextlib.contextmanager
def running_exporter(directory: Path, **variables: str) -> Iterator[RunningExporter]:
    """Run the command until the block ends; the block begins when it answers."""
    port = free_port()
    process = start_exporter(directory, port, **variables)
    try:
        exporter = RunningExporter(process, port)
        exporter.wait()
        yield exporter
    finally:
        process.kill()
        process.wait(10)


def manage(directory: Path, *arguments: str, **variables: str) -> str:
    """Run a command of manage.py beside the exporter of this directory; return what it prints."""
    environment = clean_environment(
        VAR_DIR=str(directory), LOG_DIR=str(directory / "logs"), **variables
    )
    command = [sys.executable, ROOT / "manage.py", *arguments]
    done = subprocess.run(command, env=environment, text=True, capture_output=True, timeout=120)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout + done.stderr


def migrate(directory: Path, **variables: str) -> None:
    """Make the tables of the database that these variables name."""
    manage(directory, "migrate", "--verbosity", "0", **variables)
