"""Stop and start programs of the running instance, through the supervisord of `scripts/run`."""

from __future__ import annotations

import configparser
import xmlrpc.client
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from django.conf import settings as django_settings
from supervisor.xmlrpc import SupervisorTransport

FAULTS = (OSError, xmlrpc.client.Error, configparser.Error)


class Unsupervised(Exception):
    """Report an instance under no supervisord that answers, or without the program."""


class Supervisor:
    def __init__(self) -> None:
        """Connect to the supervisord of this `VAR_DIR`.

        Raises: Unsupervised where no supervisord answers.
        """
        path = django_settings.VAR_DIR / "run" / "supervisord.conf"
        config = configparser.ConfigParser(interpolation=None)
        try:
            config.read_string(path.read_text())
            address = config["supervisorctl"]["serverurl"]
            transport = SupervisorTransport(serverurl=address)
            self._calls: Any = xmlrpc.client.ServerProxy("http://127.0.0.1", transport).supervisor
            self._calls.getState()
        except (*FAULTS, KeyError) as error:
            raise Unsupervised(
                f"nothing answers for {path}: the programs of an instance can be stopped and "
                "started only where scripts/run has started them, with the same VAR_DIR"
            ) from error

    @contextmanager
    def without(self, programs: Sequence[str]) -> Iterator[None]:
        """Stop these programs during the block; at the end each runs again, whatever happens."""
        try:
            for name in programs:
                self._call("stopProcess", name)
            yield
        finally:
            for name in programs:
                self.start(name)

    def start(self, program: str) -> None:
        """Start a program unless it runs.

        The call does not wait until the program has run for a second.
        """
        if self._call("getProcessInfo", program)["statename"] not in ("RUNNING", "STARTING"):
            self._call("startProcess", program, False)

    def _call(self, name: str, program: str, *arguments: object) -> Any:
        try:
            return getattr(self._calls, name)(program, *arguments)
        except FAULTS as error:
            raise Unsupervised(f"supervisord could not {name} {program}: {error}") from error
