"""Run `manage.py faults`: break real services under load, and account for every message."""

from __future__ import annotations

import argparse
import importlib
from argparse import ArgumentParser, RawDescriptionHelpFormatter
from types import ModuleType
from typing import Any

from django.core.management.base import BaseCommand, CommandError

RIG = "tests.faults.command"


class Command(BaseCommand):
    help = """\
Starts MariaDB, Redis, Kafka and the whole service on data and ports of its own, breaks one or more
of them under load, mends them, waits until everything has drained, and accounts for every message:
none lost, doubled, altered, shown after its recall or after its delete.

  manage.py faults --list
  manage.py faults                        each fault once: some minutes
  manage.py faults --rows redis-killed,mariadb-killed --seeds 3
  manage.py faults --judge FILE           judges the transcript of an earlier run again

Ends with 1 when anything broke the promise. It touches nothing but what it has started itself. The
rig is part of the tests, so this needs a checkout with tests/ and requirements-dev.txt.
"""
    requires_system_checks = ()  # the rig uses nothing of this instance

    def create_parser(self, prog_name: str, subcommand: str, **kwargs: Any) -> Any:
        kwargs["formatter_class"] = RawDescriptionHelpFormatter
        return super().create_parser(prog_name, subcommand, **kwargs)

    def add_arguments(self, parser: ArgumentParser) -> None:
        _rig().add_options(parser)

    def handle(self, **options: Any) -> None:
        if status := _rig().main(argparse.Namespace(**options)):
            raise SystemExit(status)


def _rig() -> ModuleType:
    """Import the rig, only when it is used: what is installed for production has no tests.

    Raises: CommandError where the tests or their packages are missing.
    """
    try:
        return importlib.import_module(RIG)
    except ImportError as error:
        raise CommandError(
            f"this needs a checkout with tests/ and the packages of requirements-dev.txt: {error}"
        ) from error
