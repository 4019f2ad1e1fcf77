"""Run `manage.py audit`: account for every accepted message, and mend on request."""

from __future__ import annotations

import asyncio
import json
import sys
from argparse import ArgumentParser, ArgumentTypeError, RawDescriptionHelpFormatter
from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from messaging.audit.audit import Audit, Plan
from messaging.audit.report import Report, document_of, lines
from messaging.audit.sources import BadReceipts
from messaging.domain.errors import BackendError
from messaging.management.moments import moment
from messaging.progress import Progress
from messaging.runtime import wiring

HELP = """\
Compares the cache, the log and the database while the service runs, and accounts for every message
that any of them names as accepted: persisted, recalled, folded (a repeated send), a dead letter,
discarded, pending, under way in the log, or unaccounted. Then whether what the cache shows is what
the database has, and whether the database agrees with itself.

  manage.py audit                          look, change nothing
  manage.py audit --receipts told.txt      also account for these ids, one a line
  manage.py audit --whole-log              also for what the log still keeps of what is committed
  manage.py audit --since 2h               rows and committed records of the last two hours only
  manage.py audit --repair                 mend what can be; run it again to see that all is well
  manage.py audit --json > audit.json

Messages move while it looks, so what looks wrong is looked at three times more, --settle seconds
apart, before it counts. It reads everything through once, some ten thousand messages a second, and
keeps in memory what looks wrong alone. It prints counts and ids, never what a message says.

--repair persists what is stuck or lost and still to be found, marks what is stored, drops or joins
cached copies that disagree, and restores what a row lacks. It never changes what a message says,
its number, or which of two messages a clientMsgId stands for: those are for a person.

Ends with 0 when every message is accounted for and nothing disagrees (any more), with 1 when not,
and with 2 when a service is away or a file cannot be read, so that nothing can be said.
"""


class Command(BaseCommand):
    help = HELP

    def create_parser(self, prog_name: str, subcommand: str, **kwargs: Any) -> Any:
        kwargs["formatter_class"] = RawDescriptionHelpFormatter
        return super().create_parser(prog_name, subcommand, **kwargs)

    def add_arguments(self, parser: ArgumentParser) -> None:
        add = parser.add_argument
        add("--receipts", type=Path, metavar="FILE", help="ids that clients were told, one a line")
        add("--whole-log", action="store_true", help="what the log keeps, not its tail alone")
        add("--since", type=moment, metavar="WHEN", help="30m, 2h, 7d, or 2026-11-26T08:00 (UTC)")
        add("--repair", action="store_true", help="mend what can be")
        add("--settle", type=_seconds, default=2.0, metavar="S", help="between two looks (2)")
        add(
            "--stuck",
            type=_seconds,
            default=300.0,
            metavar="S",
            help="tell of what is pending for longer; --repair persists it (300)",
        )
        add("--examples", type=int, default=10, metavar="N", help="ids of each kind (10)")
        add("--json", action="store_true", help="print JSON")

    def handle(self, **options: Any) -> None:
        since = options["since"]
        plan = Plan(
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
            raise CommandError(_away(error), returncode=2) from error
        except (BadReceipts, OSError) as error:
            raise CommandError(str(error), returncode=2) from error
        if options["json"]:
            self.stdout.write(json.dumps(document_of(report), indent=1))
        else:
            for line in lines(report):
                self.stdout.write(line)
        if not report.is_clean:
            raise CommandError(_advice(report), returncode=1)


async def _audit(plan: Plan) -> Report:
    parts = wiring.open_audit_parts()
    try:
        return await Audit(parts, plan, Progress(sys.stderr)).run()
    finally:
        await wiring.close_audit_parts(parts)


def _away(error: BackendError) -> str:
    what = f"{type(error).__name__}: {error.__cause__ or error}"
    return (
        f"{what}. An audit needs Redis, the log and the database. "
        "See that they are up (source var/env first?), then run it again."
    )


def _advice(report: Report) -> str:
    if report.repaired:
        return "what is left is for a person; the kinds and ids are above"
    return "run it again with --repair to mend what can be"


def _seconds(text: str) -> float:
    try:
        seconds = float(text)
    except ValueError:
        seconds = -1.0
    if not 0 <= seconds <= 86_400:
        raise ArgumentTypeError(f"{text}: seconds, 0 to 86400")
    return seconds
