"""Run `manage.py bench`: measure the running service, and check that it keeps its promises."""

from __future__ import annotations

import sys
from argparse import ArgumentParser, ArgumentTypeError, RawDescriptionHelpFormatter
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from django.core.management.base import BaseCommand, CommandError

from bench.laps.bench import Options, Refused
from bench.laps.noop_server import NoopFailed
from bench.load.content import DEFAULT_TEXT_BYTES, MAX_TEXT_BYTES
from bench.load.run import LoadFailed
from bench.report import compare, page
from bench.report import text as report
from bench.report.document import Document, document_of
from bench.run import run
from bench.scenarios import SCENARIOS, STANDARD
from messaging.conf import settings
from messaging.progress import Progress

USAGE = """
  source var/env && .venv/bin/python manage.py bench --html bench.html

  … manage.py bench [SCENARIO ...] [OPTION ...]"""
HELP = """\
Measures the service that runs: start it with scripts/run or scripts/run full in another terminal.

It makes users of its own, drives the running service over HTTP from a process of its own, waits
until everything is stored, and checks that each acknowledged message is in the database exactly
once, unaltered and in order. The verdict is its last line. It ends with 1 when a message was lost,
doubled, altered or misplaced; with --strict also when a goal was missed or a scenario left out.

  manage.py bench --sends 100             100 sends in a row: average below 10 ms, all within 2 s?
  manage.py bench closed --connections 64,128,256
  manage.py bench open --rate 5000
  manage.py bench long --minutes 10
  manage.py bench --json now.json --compare earlier.json

What it sends stays: users named bench-<run>-<n> and their messages. It refuses a service in
production and any address that is not of this machine.

scenarios, in the order in which they run (all but `long` unless some are named):
"""


class Command(BaseCommand):
    help = HELP + "\n".join(f"  {name:<9} {each.about}" for name, each in SCENARIOS.items())

    def create_parser(self, prog_name: str, subcommand: str, **kwargs: Any) -> Any:
        kwargs["formatter_class"] = RawDescriptionHelpFormatter
        kwargs["usage"] = USAGE
        return super().create_parser(prog_name, subcommand, **kwargs)

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("scenarios", nargs="*", metavar="SCENARIO", help=", ".join(SCENARIOS))
        _add_load(parser)
        _add_scenarios(parser)
        _add_reports(parser)

    def handle(self, **options: Any) -> None:
        chosen = _chosen(options)
        try:
            earlier = compare.load(options["compare"]) if options["compare"] else None
            document = document_of(run(_options(options), chosen, Progress(sys.stderr)))
        except (Refused, LoadFailed, NoopFailed, compare.NotComparable) as error:
            raise CommandError(str(error), returncode=2) from error
        changes = list(compare.changes(earlier, document)) if earlier else []
        for line in report.lines(document, changes):
            self.stdout.write(line)
        if options["json"]:
            options["json"].write_text(compare.dump(document))
        if options["html"]:
            options["html"].write_text(page.render(document, changes))
        _judge(document, strict=options["strict"])


def _add_load(parser: ArgumentParser) -> None:
    add = parser.add_argument
    add("--url", default=settings().site_url, help="the running service (%(default)s)")
    add(
        "--connections",
        type=_counts(4_096),
        default=[128],
        metavar="N[,N]",
        help="connections (128); 64,128,256: a closed loop with each, the rest with the first",
    )
    add(
        "--users",
        type=_count(100_000),
        default=1_000,
        metavar="N",
        help="users, in pairs (1000); each is held to IM_SEND_RATE, as anybody is",
    )
    add(
        "--text-bytes",
        type=_count(MAX_TEXT_BYTES),
        default=DEFAULT_TEXT_BYTES,
        metavar="N",
        help=f"bytes of each text ({DEFAULT_TEXT_BYTES})",
    )
    add(
        "--load-processes",
        type=_count(16),
        default=1,
        metavar="N",
        help="processes that make the load (1)",
    )


def _add_scenarios(parser: ArgumentParser) -> None:
    add = parser.add_argument
    add(
        "--seconds",
        type=_seconds(0.1, 3_600),
        default=10.0,
        metavar="S",
        help="how long each lap measures (10)",
    )
    add(
        "--warm-up",
        type=_seconds(0, 600),
        default=2.0,
        metavar="S",
        help="how long it does not measure before that (2)",
    )
    add(
        "--rate",
        type=_count(1_000_000),
        metavar="N",
        help="sends a second of open, sustain and long",
    )
    add(
        "--sends",
        type=_count(10_000),
        metavar="N",
        help="the scenario `sends` with so many; past IM_SEND_BURST the rate refuses some",
    )
    add("--minutes", type=_count(720), metavar="N", help="the scenario `long` for so long")
    add(
        "--patience",
        type=_seconds(0, 3_600),
        default=300.0,
        metavar="S",
        help="give up when nothing was stored for so long (300)",
    )


def _add_reports(parser: ArgumentParser) -> None:
    add = parser.add_argument
    add("--json", type=Path, metavar="FILE", help="write the run, to compare later ones with")
    add("--html", type=Path, metavar="FILE", help="write a page with the curves")
    add("--compare", type=Path, metavar="FILE", help="print what changed since that --json")
    add(
        "--strict",
        action="store_true",
        help="end with 1 when a goal was missed or a scenario left out, too",
    )


def _count(most: int) -> Callable[[str], int]:
    """Return a parser of whole numbers from 1 to `most`, for argparse."""

    def parse(text: str) -> int:
        if not (text.isdecimal() and 1 <= int(text) <= most):
            raise ArgumentTypeError(f"{text}: a whole number from 1 to {most}")
        return int(text)

    return parse


def _counts(most: int) -> Callable[[str], list[int]]:
    one = _count(most)
    return lambda text: [one(each) for each in text.split(",")]


def _seconds(least: float, most: float) -> Callable[[str], float]:
    def parse(text: str) -> float:
        try:
            seconds = float(text)
        except ValueError:
            seconds = -1.0
        if not least <= seconds <= most:
            raise ArgumentTypeError(f"{text}: seconds, {least:g} to {most:g}")
        return seconds

    return parse


def _chosen(options: dict[str, Any]) -> list[str]:
    """Return the scenarios to run, in their order.

    Raises: CommandError for an unknown name.
    """
    named = set(options["scenarios"])
    if unknown := named - SCENARIOS.keys():
        raise CommandError(f"no scenario {', '.join(sorted(unknown))}: {', '.join(SCENARIOS)}")
    named |= {"sends"} if options["sends"] else set()
    named |= {"long"} if options["minutes"] else set()
    return [name for name in SCENARIOS if name in (named or STANDARD)]


def _options(options: dict[str, Any]) -> Options:
    address = urlsplit(options["url"])
    if address.scheme != "http" or not address.hostname:
        raise CommandError("--url is http://127.0.0.1:PORT")
    sends = options["sends"] or 100
    users = max(options["users"], *options["connections"], sends)
    return Options(
        host=address.hostname,
        port=address.port or 80,
        connections=options["connections"],
        seconds=options["seconds"],
        warm_s=options["warm_up"],
        rate=options["rate"],
        users=users + users % 2,
        text_bytes=options["text_bytes"],
        load_processes=options["load_processes"],
        sends=sends,
        minutes=options["minutes"] or 10,
        patience_s=options["patience"],
    )


def _judge(document: Document, *, strict: bool) -> None:
    if not document["passed"]:
        raise CommandError("what was acknowledged is not what is stored", returncode=1)
    missed = [f"missed: {each['what']}" for each in document["goals"] if not each["met"]]
    if strict and (missed or document["notes"]):
        raise CommandError("; ".join([*document["notes"], *missed]), returncode=1)
