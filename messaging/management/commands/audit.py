"""Run `manage.py audit`: account for every accepted message, and mend on request."""

from __future__ import annotations

import asyncio
import json
import sys
from argparse import ArgumentParser, ArgumentTypeError, RawDescriptionHelpFormatter
from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from messaging.audit.audit import Audit, AuditPlan
from messaging.audit.report import Report, document_of, lines
from messaging.audit.sources import BadReceipts
from messaging.domain.backend_errors import BackendError
from messaging.management.time_arguments import since
from messaging.progress import Progress
from messaging.runtime import adapters

HELP = """\
  manage.py audit                          report, change nothing
  manage.py audit --receipts ids.txt       account for the ids in this file too, one a line
  manage.py audit --whole-log              account for committed records of the log too
  manage.py audit --since 2h               check only rows and records of the last two hours
  manage.py audit --repair                 mend the faults; run it again to confirm
  manage.py audit --json > audit.json

The audit compares the cache, the log and the database while the service runs. It finds the fate of
each message that was accepted: persisted, recalled, duplicate (a repeated send), a dead letter,
discarded, pending, under way in the log, or unaccounted. The audit also compares the cache with the
database, and the tables of the database with each other. Groups, members and participants are
checked whole with --since as well.

Messages move during the audit. So each suspect is checked three times more, --settle seconds apart,
before it counts. The audit reads some ten thousand messages a second. The audit keeps only suspects
in memory, and prints counts and ids, never the content of a message.

--repair persists messages that are stuck or lost, if a copy is left. --repair also marks stored
messages as stored, drops or joins cached copies that disagree, and restores missing fields of rows.
--repair adds missing participants, and corrects the numbers of members. --repair never changes a
message's content or number, the message of a clientMsgId, the owner of a group or a participant's
floor: a person has to decide these.

Exit status:
  0  every message is accounted for, and nothing disagrees (any more)
  1  a message is unaccounted, or a fault is left
  2  a service is away or a file cannot be read; start it or correct the path, then repeat
"""


class Command(BaseCommand):
    help = HELP

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.formatter_class = RawDescriptionHelpFormatter
        add = parser.add_argument
        add(
            "--receipts",
            type=Path,
            metavar="FILE",
            help="account for the ids in this file, one a line",
        )
        add(
            "--whole-log",
            action="store_true",
            help="read all records of the log, not only its tail",
        )
        add("--since", type=since, metavar="WHEN", help="30m, 2h, 7d, or 2026-11-26T08:00 (UTC)")
        add("--repair", action="store_true", help="mend the faults that need no person")
        add(
            "--settle",
            type=_seconds,
            default=2.0,
            metavar="S",
            help="seconds between two checks (2)",
        )
        add(
            "--stuck",
            type=_seconds,
            default=300.0,
            metavar="S",
            help="report messages pending for longer; --repair persists them (300)",
        )
        add("--examples", type=int, default=10, metavar="N", help="ids to print of each kind (10)")
        add("--json", action="store_true", help="print JSON")

    def handle(self, **options: Any) -> None:
        since = options["since"]
        plan = AuditPlan(
            settle_s=options["settle"],
            since_ms=None if since is None else round(since.timestamp() * 1000),
            whole_log=options["whole_log"],
            receipts=options["receipts"],
            repair=options["repair"],
            stuck_s=options["stuck"],
            examples=max(options["examples"], 0),
        )
        try:
            report = asyncio.run(_audit(plan))
        except BackendError as error:
            raise CommandError(
                f"{type(error).__name__}: {error.__cause__ or error}. An audit needs Redis, the "
                "log and the database. Start them, or run `source var/env` first, then run the "
                "audit again.",
                returncode=2,
            ) from error
        except (BadReceipts, OSError) as error:
            raise CommandError(str(error), returncode=2) from error
        if options["json"]:
            self.stdout.write(json.dumps(document_of(report), indent=1))
        else:
            for line in lines(report):
                self.stdout.write(line)
        if not report.is_clean:
            raise CommandError(_advice(report), returncode=1)


async def _audit(plan: AuditPlan) -> Report:
    backends = adapters.open_audit_backends()
    try:
        return await Audit(backends, plan, Progress(sys.stderr)).run()
    finally:
        await adapters.close_audit_backends(backends)


def _advice(report: Report) -> str:
    if report.repaired:
        return "a person has to decide about the faults that are left; their ids are above"
    return "run it again with --repair to mend the faults that need no person"


def _seconds(text: str) -> float:
    try:
        seconds = float(text)
    except ValueError:
        seconds = -1.0
    if not 0 <= seconds <= 86_400:
        raise ArgumentTypeError(f"{text} is not a number of seconds from 0 to 86400")
    return seconds
