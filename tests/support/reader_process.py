"""Read a log in a process that a test can kill.

    python -m tests.support.reader_process KIND WHERE ARGUMENTS

WHERE and ARGUMENTS are JSON.
"""

from __future__ import annotations

import asyncio
import json
import sys
from collections.abc import Callable

from messaging.eventlog.kafka.reader import KafkaLogReader
from messaging.eventlog.redis_streams.reader import RedisStreamsLogReader
from messaging.links import KafkaLink
from messaging.ports.log import LogReader

KINDS: dict[str, Callable[..., LogReader]] = {
    "KafkaLogReader": lambda where, **rest: KafkaLogReader(KafkaLink(tuple(where)), **rest),
    "RedisStreamsLogReader": RedisStreamsLogReader,
}


async def main() -> None:
    kind, where, arguments = sys.argv[1], json.loads(sys.argv[2]), json.loads(sys.argv[3])
    reader = KINDS[kind](where, **arguments)
    while True:
        if records := await reader.poll(max_records=100, timeout_s=0.2):
            print(len(records), flush=True)


asyncio.run(main())
