"""Set up an instance from environment variables, and let the doctor look at it in this process."""

from __future__ import annotations

import os
import re
import runpy
import shlex
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import redis
from django.db import ConnectionHandler, connections
from pytest_django import Settings as DjangoSettings

from messaging.doctor import examination, surroundings
from messaging.doctor.checks import BOUND_S
from messaging.doctor.examination import CHECKS, examine
from messaging.doctor.verdicts import Finding, Report
from messaging.metrics import catalogue, snapshot
from messaging.metrics.catalogue import ROLES
from messaging.release import RELEASE
from tests.support.processes import clean_environment
from tests.support.real_services import ROOT

TAKEN_OVER = (
    *("IM", "PRODUCTION", "DEBUG", "SECRET_KEY", "JWT_KEY", "ALLOWED_HOSTS", "HTTPS", "VAR_DIR"),
    *("LOG_DIR", "PROCESSES", "CELERY_BROKER_URL", "VARIABLES", "CSRF_TRUSTED_ORIGINS"),
)
RUNS_IN_A_SHELL = ("export", "unset", "chmod")
Place = tuple[str, str]  # a check's area and name
Found = dict[Place, Finding]


class Instance:
    """Hold an instance that a test breaks and mends.

    The environment is that of a shell in which the instance is started. Each change of the
    environment is read by the real `imsite/settings.py`.
    """

    def __init__(
        self, settings: DjangoSettings, patch: pytest.MonkeyPatch, var_dir: Path, **variables: str
    ) -> None:
        self.var_dir = var_dir
        self._settings = settings
        self._patch = patch
        self._environment = clean_environment(VAR_DIR=str(var_dir), LOG_DIR=str(var_dir / "logs"))
        self._carriers: dict[str, Callable[[str], None]] = {}
        self.carries("redis-cli", redis_cli)
        self.carries("manage.py", self._manage)
        for role in ROLES:
            self.runs(role)
        self._wait(bound_s=60.0, answer_s=20.0)  # a busy machine is no fault
        self.set(**variables)

    def hurries(self) -> None:
        """Let the doctor wait as briefly as for a person."""
        self._wait(bound_s=BOUND_S, answer_s=1.0)

    def _wait(self, *, bound_s: float, answer_s: float) -> None:
        checks = tuple(replace(check, bound_s=bound_s) for check in CHECKS)
        self._patch.setattr(examination, "CHECKS", checks)
        self._patch.setattr(surroundings, "WAIT_S", answer_s)

    def carries(self, program: str, carry_out: Callable[[str], None]) -> None:
        """Let this function carry out the remedies that begin with this word."""
        self._carriers[program] = carry_out

    def set(self, **variables: str | None) -> None:
        """Set these variables, unset those that are None, and read the settings anew."""
        for name, value in variables.items():
            self._environment.pop(name, None)
            if value is not None:
                self._environment[name] = value
        for name in set(os.environ) - set(self._environment):
            self._patch.delenv(name)
        for name, value in self._environment.items():
            self._patch.setenv(name, value)
        read = runpy.run_path(str(ROOT / "imsite" / "settings.py"))
        for name in TAKEN_OVER:
            setattr(self._settings, name, read[name])
        self.database = ConnectionHandler(read["DATABASES"]).settings["default"]
        self._patch.setitem(connections.settings, "default", self.database)

    def runs(
        self,
        role: str,
        *,
        pid: int = 0,
        release: str = RELEASE,
        is_over: bool = False,
        **values: Any,
    ) -> Path:
        """Write a snapshot as a process of this role would; `values` are numbers by family."""
        numbers: dict[str, list[tuple[tuple[str, ...], float]]] = {
            catalogue.last_sweep.name: [((), time.time())] if role == "worker" else [],
            catalogue.lease_seconds.name: [((), 590.0)] if role == "web" else [],
            catalogue.dead_letters.name: [(("bad_data",), 0)],
        }
        numbers |= {name: [((), value)] for name, value in values.items()}
        taken = snapshot.Snapshot(
            role=role,
            pid=pid or os.getpid(),
            release=release,
            started_ms=0,
            written_ms=round(time.time() * 1000),
            loop_age_s=0.1,
            is_over=is_over,
            numbers=numbers,
            cells={},
        )
        path = self.var_dir / "run" / "metrics" / f"{role}.1.0.json"
        path.parent.mkdir(parents=True, exist_ok=True)
        snapshot.write(taken, path)
        return path

    def _manage(self, command: str) -> None:
        words = shlex.split(command.partition("  #")[0])
        subprocess.run(
            [sys.executable, str(ROOT / "manage.py"), *words[1:]],
            env=self._environment,
            check=True,
            timeout=100,
            stdout=subprocess.DEVNULL,
        )

    def look(self) -> Report:
        for path in (self.var_dir / "run" / "metrics").glob("*.json"):
            if path.stat().st_mtime > time.time() - 3_600:  # one that a test has aged stays old
                path.touch()
        return examine()

    def found(self) -> Found:
        return {(each.area, each.check): each for each in self.look().findings}

    @staticmethod
    def hidden(report: Report) -> set[str]:
        """Return the areas where the report left a check out; a new instance has no audit yet."""
        no_audit = ("messages", "audit")
        return {each.area for each in report.left_out if (each.area, each.check) != no_audit}

    def in_database(self, work: Callable[[], None]) -> None:
        """Do work in the instance's database: a new thread has a connection of its settings."""

        def call() -> None:
            try:
                work()
            finally:
                connections["default"].close()

        with ThreadPoolExecutor(max_workers=1) as threads:
            threads.submit(call).result(30)

    def carry_out(self, remedy: str) -> None:
        """Do what the remedy says, as a person who copies it.

        Raises: AssertionError for a remedy that nobody could copy.
        """
        word = remedy.split()[0]
        if carrier := self._carriers.get(word):
            carrier(remedy)
            return
        assert remedy.startswith(RUNS_IN_A_SHELL), remedy
        done = subprocess.run(
            ["bash", "-ec", f"{remedy}\nenv -0"],
            env=self._environment,
            check=True,
            capture_output=True,
            text=True,
            timeout=30,
        )
        after = dict(line.split("=", 1) for line in done.stdout.split("\0") if "=" in line)
        gone: Mapping[str, None] = dict.fromkeys(set(self._environment) - set(after))
        self.set(**{name: value for name, value in after.items() if name != "_"}, **gone)


def redis_cli(command: str) -> None:
    """Carry out a command of redis-cli by a client: the program may be missing here."""
    words = shlex.split(command.partition("  #")[0])
    assert words[:2] == ["redis-cli", "-p"], command
    with redis.Redis(port=int(words[2]), decode_responses=True) as client:
        assert client.execute_command(*words[3:]) in ("OK", True) or re.match("BG", words[3])
