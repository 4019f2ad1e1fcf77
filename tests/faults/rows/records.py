"""Define the faults of the log's records: read again, repeated out of order, or unreadable."""

from __future__ import annotations

import contextlib
import itertools
import json
import time
from collections.abc import Callable, Iterator
from random import Random

from kafka import KafkaConsumer, KafkaProducer, TopicPartition
from kafka.structs import OffsetAndMetadata

from tests.faults.rig import GROUP, TOPIC, Rig
from tests.faults.rows.fault import LOG, Fault, Unmet

TIMES = 3
CALL_MS = 20_000
POISON = (
    b"",
    b"{",
    b"\xff\xfe",
    b"[]",
    b"NaN",
    json.dumps({"v": 1, "action": "PERSIST"}).encode(),
    json.dumps({"v": 0, "action": "PERSIST", "messageId": "1"}).encode(),
    b'{"a":' * 5_000,
)
DEAD_LETTERS = "SELECT COUNT(*) FROM dead_letter WHERE topic = %s AND id > %s"
LAST_DEAD_LETTER = "SELECT COALESCE(MAX(id), 0) FROM dead_letter"
DEAD_LETTER_TIMEOUT_S = 60.0


def replay(rig: Rig, hold_s: float, random: Random) -> None:
    with rig.service.supervisor() as supervisor:
        supervisor.stopProcess("consumer")
        try:
            with _consumer(rig) as consumer:
                parts = _assign_all(consumer)
                first = OffsetAndMetadata(0, "", -1)
                consumer.commit(dict.fromkeys(parts, first), timeout_ms=CALL_MS)
        finally:
            supervisor.startProcess("consumer")
    time.sleep(hold_s)


def repeat_records(rig: Rig, hold_s: float, random: Random) -> None:
    deadline_s = time.monotonic() + hold_s
    with _consumer(rig) as consumer, _producer(rig) as producer:
        parts = _assign_all(consumer)
        consumer.seek_to_end(*parts)
        while time.monotonic() < deadline_s:
            found = consumer.poll(timeout_ms=200).values()
            again = [
                record for records in found for record in records if not record.headers
            ] * TIMES
            random.shuffle(again)
            for record in again:
                partition = random.randrange(len(parts))
                mark = [("repeated", b"")]
                producer.send(TOPIC, record.value, record.key, mark, partition)
        producer.flush(CALL_MS / 1000)


def poison(rig: Rig, hold_s: float, random: Random) -> None:
    """Append unreadable records, never so many in a row that the consumer gives up."""
    deadline_s = time.monotonic() + hold_s
    with _dead_letters(rig) as send:
        while time.monotonic() < deadline_s:
            send(random.choice(POISON))
            time.sleep(random.uniform(0, 0.1))


@contextlib.contextmanager
def _dead_letters(rig: Rig) -> Iterator[Callable[[bytes], None]]:
    """Yield a function that appends a record; then wait until each record is a dead letter.

    Raises: Unmet when a record is none at the limit.
    """
    sent = itertools.count()
    with contextlib.closing(rig.servers.database()) as connection, _producer(rig) as producer:
        cursor = connection.cursor()
        cursor.execute(LAST_DEAD_LETTER)
        ((last,),) = cursor.fetchall()
        yield lambda value: producer.send(TOPIC, value, key=str(next(sent)).encode())
        producer.flush(CALL_MS / 1000)
        count, found = next(sent), 0
        deadline_s = time.monotonic() + DEAD_LETTER_TIMEOUT_S
        while found < count and time.monotonic() < deadline_s:
            time.sleep(0.2)
            cursor.execute(DEAD_LETTERS, [TOPIC, last])
            ((found,),) = cursor.fetchall()
        if found != count:
            raise Unmet(f"{found} dead letters of {count} poison records")


@contextlib.contextmanager
def _consumer(rig: Rig) -> Iterator[KafkaConsumer]:
    consumer = KafkaConsumer(
        bootstrap_servers=_address(rig),
        group_id=GROUP,
        enable_auto_commit=False,
        metrics_enabled=False,
    )
    with contextlib.closing(consumer):
        yield consumer


@contextlib.contextmanager
def _producer(rig: Rig) -> Iterator[KafkaProducer]:
    producer = KafkaProducer(
        bootstrap_servers=_address(rig), enable_idempotence=False, metrics_enabled=False
    )
    with contextlib.closing(producer):
        yield producer


def _address(rig: Rig) -> str:
    return f"127.0.0.1:{rig.servers.proxy_ports['kafka']}"


def _assign_all(consumer: KafkaConsumer) -> list[TopicPartition]:
    parts = [TopicPartition(TOPIC, each) for each in consumer.partitions_for_topic(TOPIC) or ()]
    consumer.assign(parts)
    return parts


FAULTS = (
    Fault(
        name="log-replayed",
        about="log: the consumer begins again with the first record",
        strike=replay,
        hold_s=2.0,
    ),
    Fault(
        name="log-repeated",
        about="log: each record three times more, in any partition",
        strike=repeat_records,
        accepts=LOG,
    ),
    Fault(
        name="log-poisoned",
        about="log: records that nobody can read, among the others",
        strike=poison,
        accepts=LOG,
    ),
)
