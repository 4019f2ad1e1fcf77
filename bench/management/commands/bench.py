"""Run `manage.py bench`: measure the running service, and check that it keeps its promises."""

from __future__ import annotations

import sys
from argparse import ArgumentParser, ArgumentTypeError, RawDescriptionHelpFormatter
from collections.abc import Callable
from contextlib import suppress
from dataclasses import fields
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import urlsplit

from django.conf import settings as django_settings
from django.core.management.base import BaseCommand, CommandError

from bench.laps.bench import Options, Refused
from bench.laps.noop_server import NoopFailed
from bench.load.content import DEFAULT_TEXT_BYTES, MAX_TEXT_BYTES
from bench.load.run import LoadFailed
from bench.report import compare, page
from bench.report import text as report
from bench.report.document import Document, document_of
from bench.run import run
from bench.scenarios import SCENARIOS, SHORT, STANDARD
from messaging.conf import settings
from messaging.progress import Progress

Number = TypeVar("Number", int, float)
TIMES = {"seconds": 10.0, "warm_s": 2.0, "warm_service_s": 60.0}
MAX_GROUP_MEMBERS = 1_000_000
SHORT_TIMES = {"seconds": 4.0, "warm_s": 1.0, "warm_service_s": 20.0}

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
  manage.py bench --short                 the sizes and rates of most sites, in three minutes
  manage.py bench closed --connections 64,128,256
  manage.py bench open --rate 5000
  manage.py bench groups --group-members 100000
  manage.py bench long --minutes 10
  manage.py bench --json now.json --compare earlier.json

What it sends stays: users named bench-<run>-<n>, their groups and messages. It refuses a service in
production and any address that is not of this machine.

scenarios, in the order in which they run (all but `long` unless some are named):
"""


class Command(BaseCommand):
    help = HELP + "\n".join(f"  {name:<9} {each.about}" for name, each in SCENARIOS.items())

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.formatter_class, parser.usage = RawDescriptionHelpFormatter, USAGE
        parser.add_argument("scenarios", nargs="*", metavar="SCENARIO", help=", ".join(SCENARIOS))
        _add_load(parser)
        _add_times(parser)
        _add_scenarios(parser)
        _add_reports(parser)

    def handle(self, **options: Any) -> None:
        chosen = _chosen(options)
        try:
            given = compare.load(options["compare"]) if options["compare"] else None
            document = document_of(run(_options(options), chosen, Progress(sys.stderr)))
        except (Refused, LoadFailed, NoopFailed, compare.NotComparable) as error:
            raise CommandError(str(error), returncode=2) from error
        last = Path(django_settings.VAR_DIR) / "bench.json"
        earlier = given or compare.load_alike(last, document)
        changes = list(compare.changes(earlier, document)) if earlier else []
        last.write_text(compare.dump(document))
        for line in report.lines(document, changes):
            self.stdout.write(line)
        if options["json"]:
            options["json"].write_text(compare.dump(document))
        if options["html"]:
            options["html"].write_text(page.render(document, changes))
        _judge(document, strict=options["strict"])


def _add_load(parser: ArgumentParser) -> None:
    add = parser.add_argument
    add("--short", action="store_true", help=f"{', '.join(SHORT)} alone, in under three minutes")
    add("--url", default=settings().site_url, help="the running service (%(default)s)")
    add(
        "--connections",
        type=_counts(4_096),
        default=[1, 8, 16, 32, 64, 256],
        metavar="N[,N]",
        help="connections (1,8,16,32,64,256): a closed loop with each, the rest with the last",
    )
    add(
        "--users",
        type=_within(1, 100_000, int),
        default=1_000,
        metavar="N",
        help="users, in pairs (1000); each is held to IM_SEND_RATE, as anybody is",
    )
    add(
        "--text-bytes",
        type=_within(1, MAX_TEXT_BYTES, int),
        default=DEFAULT_TEXT_BYTES,
        metavar="N",
        help=f"bytes of each text ({DEFAULT_TEXT_BYTES})",
    )
    add(
        "--load-processes",
        type=_within(1, 16, int),
        default=1,
        metavar="N",
        help="processes that make the load (1)",
    )


def _add_times(parser: ArgumentParser) -> None:
    add = parser.add_argument
    add(
        "--seconds",
        type=_within(0.1, 3_600, float),
        metavar="S",
        help="how long each lap measures (10; 4 with --short)",
    )
    add(
        "--warm-up",
        dest="warm_s",
        type=_within(0, 600, float),
        metavar="S",
        help="how long it does not measure before that (2; 1 with --short)",
    )
    add(
        "--warm-service",
        dest="warm_service_s",
        type=_within(0, 600, float),
        metavar="S",
        help="how long the service is loaded before the first lap (60; 20 with --short)",
    )


def _add_scenarios(parser: ArgumentParser) -> None:
    add = parser.add_argument
    add(
        "--rate",
        dest="rates",
        type=_counts(1_000_000),
        default=[],
        metavar="N[,N]",
        help="sends a second of open, each in a lap (500,1000,2000); of sustain and long the first",
    )
    add(
        "--group-members",
        type=_within(2, MAX_GROUP_MEMBERS, int),
        default=2_000,
        metavar="N",
        help="size of the group of the scenario `groups` (2000); 100,000 take minutes to make",
    )
    add(
        "--sends",
        type=_within(1, 10_000, int),
        metavar="N",
        help="the scenario `sends` with so many; past IM_SEND_BURST the rate refuses some",
    )
    add(
        "--minutes",
        type=_within(1, 720, int),
        metavar="N",
        help="the scenario `long` for so long",
    )
    add(
        "--patience",
        dest="patience_s",
        type=_within(0, 3_600, float),
        default=300.0,
        metavar="S",
        help="give up when nothing was stored for so long (300)",
    )


def _add_reports(parser: ArgumentParser) -> None:
    add = parser.add_argument
    add("--json", type=Path, metavar="FILE", help="write the run, to compare later ones with")
    add("--html", type=Path, metavar="FILE", help="write a page with the curves")
    add(
        "--compare",
        type=Path,
        metavar="FILE",
        help="print what changed since that --json (the last run on these services)",
    )
    add(
        "--strict",
        action="store_true",
        help="end with 1 when a goal was missed or a scenario left out, too",
    )


def _within(least: float, most: float, kind: type[Number]) -> Callable[[str], Number]:
    """Return a parser of numbers from `least` to `most`, for argparse."""
    name = "a whole number" if kind is int else "seconds"

    def parse(text: str) -> Number:
        with suppress(ValueError):
            if least <= (number := kind(text)) <= most:
                return number
        raise ArgumentTypeError(f"{text}: {name} from {least:,} to {most:,}")

    return parse


def _counts(most: int) -> Callable[[str], list[int]]:
    one = _within(1, most, int)
    return lambda text: [one(each) for each in text.split(",")]


def _chosen(options: dict[str, Any]) -> list[str]:
    """Return the scenarios to run, in their order.

    Raises: CommandError for an unknown name.
    """
    named = set(options["scenarios"])
    if unknown := named - SCENARIOS.keys():
        raise CommandError(f"no scenario {', '.join(sorted(unknown))}: {', '.join(SCENARIOS)}")
    named |= {"sends"} if options["sends"] else set()
    named |= {"long"} if options["minutes"] else set()
    named = named or set(SHORT if options["short"] else STANDARD)
    return [name for name in SCENARIOS if name in named]


def _options(options: dict[str, Any]) -> Options:
    address = urlsplit(options["url"])
    if address.scheme != "http" or not address.hostname:
        raise CommandError("--url is http://127.0.0.1:PORT")
    times = SHORT_TIMES if options["short"] else TIMES
    given = {name: value for name, value in options.items() if value is not None}
    chosen = {each.name: given[each.name] for each in fields(Options) if each.name in given}
    sends = options["sends"] or 100
    users = max(options["users"], *options["connections"], sends)
    chosen |= {"host": address.hostname, "port": address.port or 80, "users": users + users % 2}
    return Options(**times | chosen | {"sends": sends, "minutes": options["minutes"] or 10})


def _judge(document: Document, *, strict: bool) -> None:
    if not document["passed"]:
        raise CommandError("what was acknowledged is not what is stored", returncode=1)
    missed = [f"missed: {each['what']}" for each in document["goals"] if not each["met"]]
    if strict and (missed or document["notes"]):
        raise CommandError("; ".join([*document["notes"], *missed]), returncode=1)
