"""Run `manage.py doctor`: look at an instance, and tell how to mend it."""

from __future__ import annotations

import json
import logging
from argparse import ArgumentParser, RawDescriptionHelpFormatter
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from messaging.doctor.examination import AREAS, examine
from messaging.doctor.report import document_of, lines
from messaging.doctor.verdicts import State

HELP = """\
  source var/env && .venv/bin/python manage.py doctor     look at everything
  manage.py doctor --only redis --only kafka              look at two areas
  manage.py doctor --json > doctor.json

The doctor looks at the settings, this machine, Redis, Kafka, the database, the processes of this
instance and its messages. The doctor changes nothing, and runs while everything is down. No check
waits for more than two seconds.

Each check is OK, WARN or FAIL. Under WARN and FAIL stands a remedy to copy: a command, or the
setting to make before the processes are started again. Commands of Redis and Kafka, and statements
of SQL, need an administrator of that server. A check that does not apply is left out: on SQLite and
Redis Streams there is nothing of MySQL and Kafka to check. A check that cannot see its object, as a
server is away or the account may not look, is listed as not made.

Exit status:
  0  every check is OK
  1  a check is WARN: the instance works, and something may go wrong
  2  a check is FAIL: messages may be lost or refused, or a part does not work
"""
STATUS = {State.OK: 0, State.WARN: 1, State.FAIL: 2}


class Command(BaseCommand):
    help = HELP

    requires_system_checks = ()  # the doctor reports them itself

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.formatter_class = RawDescriptionHelpFormatter
        parser.add_argument(
            "--only",
            action="append",
            choices=AREAS,
            metavar="AREA",
            help=f"look at this area alone; may be repeated: {', '.join(AREAS)}",
        )
        parser.add_argument("--json", action="store_true", help="print JSON")

    def handle(self, **options: Any) -> None:
        logging.getLogger("kafka").setLevel(logging.CRITICAL)  # the finding tells what it would
        report = examine(options["only"] or AREAS)
        if options["json"]:
            self.stdout.write(json.dumps(document_of(report), ensure_ascii=False, indent=1))
        else:
            for line in lines(report):
                self.stdout.write(line)
        if report.state is not State.OK:
            raise CommandError(_advice(report.state), returncode=STATUS[report.state])


def _advice(state: State) -> str:
    first = "mend" if state is State.FAIL else "look at"
    return f"{first} each {state} above by the remedy under it, then run the doctor again"
