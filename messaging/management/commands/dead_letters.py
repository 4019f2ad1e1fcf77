"""Run `manage.py dead_letters`: show dead letters, and replay or discard them, as in the admin."""

from __future__ import annotations

import json
from argparse import ArgumentParser, RawDescriptionHelpFormatter
from collections.abc import Iterator, Sequence
from typing import Any

from django.core.management.base import BaseCommand, CommandError
from django.db import DatabaseError
from django.db.models import QuerySet

from messaging.admin.display import text_of
from messaging.domain.errors import TemporarilyUnavailable
from messaging.management import dead_letter_view as view
from messaging.management.time_arguments import since
from messaging.models import DeadLetter
from messaging.ports.store import DeadLetter as Letter
from messaging.ports.store import DeadLetterState
from messaging.runtime import wiring
from messaging.service import dead_letters
from messaging.service.dead_letters import Decision

HELP = """\
  manage.py dead_letters list                           list the open letters, newest first
  manage.py dead_letters list --state all --since 2h --reason bad_data
  manage.py dead_letters show 17                        show a letter without its record
  manage.py dead_letters show 17 --body                 show the record too, unless recalled
  manage.py dead_letters replay 17 18                   append the records to the log again
  manage.py dead_letters replay --all --reason bad_data
  manage.py dead_letters discard 19                     note that nothing has to be done

A dead letter is a record of the log that could not be persisted. A person decides whether to replay
or to discard it.

Mend the reason before you replay a letter. The consumer judges the record again, and a record that
fails again becomes another letter. To replay a letter twice is safe: the message is stored once. A
discarded letter is kept, and may be replayed later.

Exit status: 0 when all of it was done, 1 otherwise.
"""
AT_ONCE = 100
EVERY = "all"


class Command(BaseCommand):
    help = HELP

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.formatter_class = RawDescriptionHelpFormatter
        does = parser.add_subparsers(dest="does", required=True, metavar="list|show|replay|discard")
        each = does.add_parser("list", help="list the letters, newest first")
        _add_filters(each)
        states = [*(state.value.lower() for state in DeadLetterState), EVERY]
        each.add_argument(
            "--state", choices=states, default="open", help="the state to list (open)"
        )
        each.add_argument(
            "--limit", type=int, default=50, metavar="N", help="list at most N letters (50)"
        )
        each = does.add_parser("show", help="show one letter")
        each.add_argument("id", type=int, metavar="ID", help="the id from the list")
        each.add_argument("--body", action="store_true", help="show the record too, as text")
        each = does.add_parser("replay", help="append the records to the log again")
        each.add_argument("ids", type=int, nargs="*", metavar="ID", help="ids from the list")
        each.add_argument(
            "--all", action="store_true", help="replay all open letters, instead of IDs"
        )
        _add_filters(each)
        each = does.add_parser("discard", help="note that nothing has to be done about the letters")
        each.add_argument("ids", type=int, nargs="+", metavar="ID", help="ids from the list")
        for each in does.choices.values():
            each.add_argument("--json", action="store_true", help="print JSON")

    def handle(self, *, does: str, **options: Any) -> None:
        try:
            getattr(self, f"_{does}")(**options)
        except DatabaseError as error:
            raise CommandError(f"the database does not answer ({error}); try again") from error
        finally:
            wiring.reset()

    def _list(self, *, state: str, limit: int, **options: Any) -> None:
        rows = _filtered(DeadLetter.objects.defer("key", "value"), options)
        if state != EVERY:
            rows = rows.filter(state=state.upper())
        shown = list(rows.order_by("-id")[: max(limit, 0)])
        if options["json"]:
            self._print([view.as_document(row) for row in shown])
            return
        for line in view.table(shown):
            self.stdout.write(line)
        self.stdout.write(f"{len(shown)} of {rows.count()} ({state})")

    def _show(self, *, id: int, body: bool, **options: Any) -> None:
        row = DeadLetter.objects.filter(pk=id).first()
        if row is None:
            raise CommandError(f"there is no dead letter {id}: see `dead_letters list --state all`")
        text = _body_of(row) if body else None
        if options["json"]:
            shown = {"value": text} if body else {}
            self._print(view.as_document(row) | view.record_of(row) | shown)
            return
        for line in view.sheet(row):
            self.stdout.write(line)
        if text is not None:
            self.stdout.write(f"\n{view.printable(text) or 'empty'}")
        self.stdout.write(f"\nnext: dead_letters replay {row.pk}, or dead_letters discard {row.pk}")

    def _replay(self, *, ids: list[int], all: bool, **options: Any) -> None:
        if bool(ids) == all:
            raise CommandError("give the IDs of letters, or --all")
        if ids and (options["reason"] or options["since"]):
            raise CommandError("--reason and --since go with --all, not with IDs")
        chosen = _filtered(DeadLetter.objects.filter(state=DeadLetterState.OPEN.value), options)
        rows = chosen if all else DeadLetter.objects.filter(pk__in=ids)
        self._decide(rows, ids, dead_letters.replay, "replayed", options)

    def _discard(self, *, ids: list[int], **options: Any) -> None:
        rows = DeadLetter.objects.filter(pk__in=ids, state=DeadLetterState.OPEN.value)
        self._decide(rows, ids, dead_letters.discard, "discarded", options)

    def _decide(
        self,
        rows: QuerySet[DeadLetter],
        ids: list[int],
        decide: Decision,
        word: str,
        options: dict[str, Any],
    ) -> None:
        done: list[int] = []
        left: list[int] = []
        for page in pages_of(rows):
            undecided = {row.as_letter(): row.pk for row in page}
            settled = _decide(decide, list(undecided), word)
            done += [undecided.pop(letter) for letter in settled]
            left += undecided.values()
            if undecided:
                break  # the log is away: the rest would only wait for it as well
        unknown = sorted(set(ids).difference(done, left))
        if options["json"]:
            self._print({word: done, "unconfirmed": left, "notFound": unknown})
        else:
            self.stdout.write(f"{word}: {len(done)}")
        if left:
            raise CommandError(
                f"the log did not confirm {_named(left)}, which stay as they are: start the log, "
                "then repeat this command"
            )
        if unknown:
            raise CommandError(
                f"not there, or not open: {_named(unknown)}; see `dead_letters list --state all`"
            )

    def _print(self, document: object) -> None:
        self.stdout.write(json.dumps(document, ensure_ascii=False, indent=1))


def _add_filters(parser: ArgumentParser) -> None:
    parser.add_argument("--reason", help="only letters with this reason: bad_data, unreadable …")
    parser.add_argument(
        "--since",
        type=since,
        metavar="WHEN",
        help="only letters since then: 30m, 2h, 7d, or 2026-11-26T08:00 (UTC)",
    )


def _filtered(rows: QuerySet[DeadLetter], options: dict[str, Any]) -> QuerySet[DeadLetter]:
    if options["reason"]:
        rows = rows.filter(reason=options["reason"])
    if options["since"]:
        rows = rows.filter(created_at__gte=options["since"])
    return rows


def pages_of(rows: QuerySet[DeadLetter]) -> Iterator[list[DeadLetter]]:
    """Yield the rows in pages, oldest first, up to the newest row of now.

    A record that fails again meanwhile is another letter, which is not included.
    """
    newest = rows.order_by("-id").values_list("id", flat=True).first() or 0
    after = 0
    while page := list(rows.filter(id__gt=after, id__lte=newest).order_by("id")[:AT_ONCE]):
        yield page
        after = page[-1].pk


def _decide(decide: Decision, letters: Sequence[Letter], word: str) -> Sequence[Letter]:
    try:
        return wiring.run(lambda backends: decide(backends, letters))
    except TemporarilyUnavailable as error:
        raise CommandError(
            f"the database may not have noted the {word} letters; repeat this command, it is safe"
        ) from error


def _body_of(row: DeadLetter) -> str:
    """Return the record's text.

    Raises: CommandError when the message was recalled, or when that cannot be known.
    """
    letter = row.as_letter()
    try:
        if wiring.run(lambda backends: dead_letters.shows_recalled(backends, letter)):
            raise CommandError(
                "withheld: its message was recalled; leave out --body to see the rest"
            )
    except TemporarilyUnavailable as error:
        raise CommandError(
            "withheld: whether its message was recalled cannot be known while a service is away; "
            "start the service, or leave out --body"
        ) from error
    return text_of(row.value)


def _named(ids: Sequence[int]) -> str:
    shown = ", ".join(map(str, ids[:10]))
    return shown if len(ids) <= 10 else f"{shown} and {len(ids) - 10} more"
