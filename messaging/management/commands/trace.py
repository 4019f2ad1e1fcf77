"""Run `manage.py trace`: tell one message's life from every place that may know the message."""

from __future__ import annotations

import asyncio
import json
from argparse import ArgumentParser, ArgumentTypeError, RawDescriptionHelpFormatter
from collections.abc import Callable, Mapping, Sequence
from enum import IntEnum
from typing import Any, TypeVar

from django.core.management.base import BaseCommand, CommandError

from messaging.audit.findings import Fate
from messaging.domain.message import Key
from messaging.runtime import adapters
from messaging.trace import report
from messaging.trace.asked import BadQuestion, read_id, read_send
from messaging.trace.evidence import Place, Trace
from messaging.trace.tracer import Named

HELP = """\
  manage.py trace 647894356465213440                 what became of this message
  manage.py trace --client-msg-id 42:a-1             the message that user 42 sent as a-1
  manage.py trace 647894356465213440 --json          the same for programs
  manage.py trace 647894356465213440 --timeout 30    search a long log to its end

The id itself tells when the message was sent, and by which worker id. Then each place is asked:

  accepted   Redis: its detail, its pending mark, its place in the tail, its idempotency record
  appended   the log: its events, and whether the consumer has committed them
  persisted  the database: its row or what the id is an alias of, deletes, hints, dead letters
  fate       what the audit would say: persisted, recalled, duplicate, pending, under way,
             a dead letter, discarded, or unaccounted

The log is read from the minute before the message on, in the partition of the conversation. Each
place gets --timeout seconds. A place that does not answer in time is named as away, and the others
are told all the same. The output has ids, times and marks, never the content of a message or a
clientMsgId.

Next step: for a pending message, see the pending messages in the admin. For a dead letter, run
manage.py dead_letters list. For an unaccounted message, run manage.py audit.

Exit status:
  0  the fate is known
  1  no place knows the message, or nothing brings it to the database (unaccounted)
  2  the fate is not certain, because a place is away or the search of the log was cut off;
     or the id cannot be read
"""
DEFAULT_TIMEOUT_S = 2.0
LONGEST_TIMEOUT_S = 600.0

Read = TypeVar("Read")


class Ending(IntEnum):
    """Name the exit status; the largest one of several traces counts."""

    KNOWN = 0
    UNKNOWN = 1
    NOT_CERTAIN = 2


class Command(BaseCommand):
    help = HELP

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.formatter_class = RawDescriptionHelpFormatter
        asked = parser.add_mutually_exclusive_group(required=True)
        asked.add_argument("id", nargs="?", type=_checked(read_id), metavar="ID", help="message id")
        asked.add_argument(
            "--client-msg-id",
            type=_checked(read_send),
            metavar="USER:TEXT",
            help="the sender's user id and the clientMsgId, instead of ID",
        )
        parser.add_argument(
            "--timeout",
            type=_seconds,
            default=DEFAULT_TIMEOUT_S,
            metavar="S",
            help="seconds that each place has to answer (2)",
        )
        parser.add_argument("--json", action="store_true", help="print JSON, a list of traces")

    def handle(self, **options: Any) -> None:
        traces, away = asyncio.run(self._run(options["id"], options["client_msg_id"], options))
        if not traces:
            raise _nobody_knows(away)
        ending = max(map(_ending, traces))
        if ending is not Ending.KNOWN:
            raise CommandError(_advice(ending, traces), returncode=ending)

    async def _run(
        self, message_id: int | None, send: Key | None, options: Mapping[str, Any]
    ) -> tuple[list[Trace], Sequence[Place]]:
        """Print the traces; return them, and the places that could not tell which to make.

        Order: the output comes before the connections are closed, because the end of a connection
        may wait for a driver whose server is silent.
        """
        async with adapters.open_tracer(options["timeout"]) as tracer:
            named = Named((message_id,) if message_id is not None else (), ())
            if send is not None:
                named = await tracer.ids_of(send)
            traces = [await tracer.trace(each) for each in named.message_ids]
            if options["json"]:
                documents = [report.document_of(trace) for trace in traces]
                self.stdout.write(json.dumps(documents, indent=1))
            else:
                for trace in traces:
                    self.stdout.write("\n".join(report.lines(trace)))
            self.stdout.flush()
            return traces, named.away


def _ending(trace: Trace) -> Ending:
    if not trace.is_certain:
        return Ending.NOT_CERTAIN
    return Ending.UNKNOWN if trace.fate is Fate.UNACCOUNTED else Ending.KNOWN


def _nobody_knows(away: Sequence[Place]) -> CommandError:
    if away:
        return CommandError(
            f"this clientMsgId is not known where an answer came from; away: {', '.join(away)}. "
            "Start what is away, or run `source var/env` first, then ask again.",
            returncode=Ending.NOT_CERTAIN,
        )
    return CommandError(
        "no message of this sender has this clientMsgId. Redis keeps it for a day, the database "
        "for as long as the message; check the user id and the text.",
        returncode=Ending.UNKNOWN,
    )


def _advice(ending: Ending, traces: Sequence[Trace]) -> str:
    if ending is Ending.NOT_CERTAIN:
        away = sorted({place.value for trace in traces for place in trace.away})
        if away:
            return (
                f"away: {', '.join(away)}, so the answer is not certain. Start what is away, or "
                "run `source var/env` first, then ask again."
            )
        return "the search of the log was cut off; ask again with a longer --timeout"
    if any(trace.is_known for trace in traces):
        return "run manage.py audit to account for all messages, with --repair to mend them"
    return "no place knows this id; check its digits"


def _checked(read: Callable[[str], Read]) -> Callable[[str], Read]:
    """Return a reader of an argument for argparse, with the reader's own error."""

    def argument(text: str) -> Read:
        try:
            return read(text)
        except BadQuestion as error:
            raise ArgumentTypeError(str(error)) from error

    return argument


def _seconds(text: str) -> float:
    try:
        seconds = float(text)
    except ValueError:
        seconds = 0.0
    if not 0 < seconds <= LONGEST_TIMEOUT_S:
        raise ArgumentTypeError(f"{text} is not a number of seconds above 0, up to 600")
    return seconds
