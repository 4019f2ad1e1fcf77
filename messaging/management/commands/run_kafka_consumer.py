"""Run `manage.py run_kafka_consumer`: persist the events of the log."""

from __future__ import annotations

import asyncio
import signal
from argparse import ArgumentParser
from typing import Any

import uvloop
from django.core.management.base import BaseCommand, CommandError

from messaging.conf import settings
from messaging.management.worker_processes import supervise
from messaging.metrics.catalogue import give_ups
from messaging.pipeline.consumer import TooManyDeadLetters
from messaging.runtime import adapters, counting

GIVEN_UP = 3  # the exit status after which nobody should start it again unseen


class Command(BaseCommand):
    help = (
        "manage.py run_kafka_consumer --workers 2 runs two processes that read the log in batches, "
        "store the messages in the database, mark them as stored in Redis and commit. The name of "
        "the command is the same for Kafka and Redis Streams (IM_EVENT_LOG_URL). Run at most as "
        "many processes as there are partitions, on any number of machines. Stop the command with "
        "SIGTERM or Ctrl-C: the consumer finishes its batch, commits and leaves the group. Exit "
        "status 3 means that too many records in a row could not be persisted: mend the cause "
        "before you start the consumer again."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument(
            "--workers",
            type=int,
            default=1,
            metavar="N",
            help="processes that share the partitions; a dead one is restarted (default: 1)",
        )

    def handle(self, *, workers: int, **options: Any) -> None:
        if not 1 <= workers <= settings().partitions:
            raise CommandError(
                f"--workers is 1 to {settings().partitions}: a partition has one reader at a time"
            )
        if workers > 1:
            if supervise(workers, ["run_kafka_consumer"], final=GIVEN_UP):
                raise CommandError(TooManyDeadLetters.default_text(), returncode=GIVEN_UP)
            return
        try:
            uvloop.run(_consume())
        except TooManyDeadLetters as error:
            raise CommandError(str(error), returncode=GIVEN_UP) from error


async def _consume() -> None:
    consumer = adapters.open_consumer()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, consumer.stop.set)
    breakers = {"log": consumer.log.breaker, "store": consumer.store.breaker}
    counts = counting.begin("consumer", consumer.settings, breakers)
    try:
        await consumer.run()
    except TooManyDeadLetters:
        give_ups.add()
        raise
    finally:
        try:
            await adapters.close_consumer(consumer)
        finally:
            await counting.end(counts)
