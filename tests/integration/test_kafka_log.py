"""Test Kafka's own traits: the brokers' limits, topics, partitions, and a client that fails."""

from __future__ import annotations

import asyncio
import contextlib
import multiprocessing
import time
from collections.abc import AsyncIterator, Iterator, Sequence
from dataclasses import replace

import pytest
from aiokafka.partitioner import DefaultPartitioner as WriterPartitioner
from django.core.management import CommandError, call_command
from django.test import override_settings
from hypothesis import given
from hypothesis import strategies as st
from kafka.admin import ConfigResource, KafkaAdminClient
from kafka.consumer.fetcher import Fetcher
from kafka.partitioner.default import murmur2
from kafka.protocol.consumer import FetchRequest

from messaging.conf import Settings
from messaging.domain.backend_errors import LogUnavailable, RecordTooLarge, TopicMismatch
from messaging.eventlog.kafka import reader as kafka_reader
from messaging.eventlog.kafka.pace import IDLE_WAIT_MS, WAIT_MS
from messaging.eventlog.kafka.topics import create_kafka_topics
from messaging.eventlog.kafka.writer import KafkaEventLog, partition_of
from messaging.links import KafkaLink
from messaging.ports.log import MAX_RECORD_BYTES, OutgoingRecord, Position, Record
from tests.support.logs import KafkaRig
from tests.support.processes import wait_until
from tests.support.real_services import connected

pytestmark = pytest.mark.connected
WEEK_MS = 7 * 24 * 3_600 * 1_000


@pytest.fixture
async def rig() -> AsyncIterator[KafkaRig]:
    opened = KafkaRig(connected("IM_EVENT_LOG_URL"))
    await opened.connect()
    yield opened
    await opened.close()


@pytest.fixture
def admin() -> Iterator[KafkaAdminClient]:
    servers = [connected("IM_EVENT_LOG_URL").removeprefix("kafka://")]
    with contextlib.closing(KafkaAdminClient(bootstrap_servers=servers)) as client:
        yield client


def configure(admin: KafkaAdminClient, topic: str, **configs: int) -> None:
    names = {name.replace("_", "."): str(value) for name, value in configs.items()}
    admin.alter_configs([ConfigResource("topic", topic, names)])


def retention_ms(admin: KafkaAdminClient, topic: str) -> int:
    found = admin.describe_configs(
        [ConfigResource("topic", topic, {"retention.ms": None})], config_filter="all"
    )
    return int(found["topic"][topic]["retention.ms"]["value"])


def await_retention(admin: KafkaAdminClient, topics: list[str], wanted_ms: list[int]) -> None:
    """Wait until the broker tells these times: it learns of a change after the controller."""
    wait_until(
        lambda: [retention_ms(admin, topic) for topic in topics] == wanted_ms,
        limit_s=10,
        what=f"the topics keep their records for {wanted_ms} ms",
    )


async def read(rig: KafkaRig, count: int) -> list[Record]:
    reader = rig.reader()
    records: list[Record] = []
    deadline = time.monotonic() + 20
    while len(records) < count and time.monotonic() < deadline:
        records += await reader.poll(max_records=1_000, timeout_s=0.2)
    return records


async def appended_until_refused(rig: KafkaRig, record: OutgoingRecord) -> int:
    """Append until the broker heeds a topic's new limit; return how many records it took."""
    for count in range(100):
        (future,) = await rig.log.append(rig.topic, [record])
        (outcome,) = await asyncio.gather(future, return_exceptions=True)
        if isinstance(outcome, RecordTooLarge):
            return count
        await asyncio.sleep(0.05)
    raise AssertionError("the limit is not heeded")


async def appended_all(
    rig: KafkaRig, records: Sequence[OutgoingRecord]
) -> list[Position | BaseException]:
    """Append records in one call, then those again that could not be handed over or confirmed.

    A record that was not confirmed in time may be in the log twice.
    """
    futures = await rig.log.append(rig.topic, records)
    outcomes = await asyncio.gather(*futures, return_exceptions=True)
    for place, record in enumerate(records):
        while isinstance(outcomes[place], LogUnavailable):
            (future,) = await rig.log.append(rig.topic, [record])
            (outcomes[place],) = await asyncio.gather(future, return_exceptions=True)
    return outcomes


class TestLimits:
    async def test_a_record_above_the_topics_own_limit_fails_alone(
        self, rig: KafkaRig, admin: KafkaAdminClient
    ) -> None:
        configure(admin, rig.topic, max_message_bytes=200_000)
        before = await appended_until_refused(rig, OutgoingRecord(b"1_2", b"x" * 300_000))
        sizes = [10, 400_000, 10, 10, 400_000, 10]
        group = [OutgoingRecord(b"1_2", b"x" * size) for size in sizes]
        outcomes = await appended_all(rig, group)
        assert [type(outcome) for outcome in outcomes] == [
            RecordTooLarge if size == 400_000 else Position for size in sizes
        ]
        found = [len(record.value or b"") for record in await read(rig, before + 4)]
        assert found[:before] == [300_000] * before
        assert found[before:] == [10] * (len(found) - before)

    async def test_the_largest_record_is_taken_and_read_and_no_larger_one(
        self, rig: KafkaRig
    ) -> None:
        key, headers = b"1_2", (("trace", b"x"),)
        room = MAX_RECORD_BYTES - len(key)
        group = [
            OutgoingRecord(key, b"x" * (room - 1)),
            OutgoingRecord(key, b"x" * room),
            OutgoingRecord(key, b"x" * (room + 1)),
            OutgoingRecord(key, b"x" * (room - 6), headers),
            OutgoingRecord(key, b"x" * (room - 5), headers),
            OutgoingRecord(key, b"small"),
        ]
        told = await appended_all(rig, group)
        too_large = [isinstance(outcome, RecordTooLarge) for outcome in told]
        assert too_large == [False, False, True, False, True, False]
        taken = {len(group[n].value) for n in (0, 1, 3, 5)}
        # An append that was not confirmed in time may be in the log as well.
        found: set[int] = set()
        reader, deadline_s = rig.reader(), time.monotonic() + 20
        while found != taken and time.monotonic() < deadline_s:
            with contextlib.suppress(LogUnavailable):  # a loaded broker answers some polls late
                records = await reader.poll(max_records=1_000, timeout_s=0.2)
                found |= {len(record.value or b"") for record in records}
        assert found == taken

    @pytest.mark.alone
    async def test_an_unknown_topic_is_refused_in_time(self, rig: KafkaRig) -> None:
        await rig.log.ping()
        began = time.monotonic()
        (future,) = await rig.log.append("no-such-topic", [OutgoingRecord(b"1_2", b"x")])
        with pytest.raises(LogUnavailable):
            await future
        assert time.monotonic() - began < 0.7
        (future,) = await rig.log.append(rig.topic, [OutgoingRecord(b"1_2", b"x")])
        assert (await future).topic == rig.topic


async def test_a_closed_outbox_refuses_at_once(rig: KafkaRig) -> None:
    assert isinstance(rig.log, KafkaEventLog)
    outbox = rig.log._outbox
    assert outbox is not None
    for _ in range(2):
        await outbox.close()
    deadline_s = asyncio.get_running_loop().time() + 5
    records = [OutgoingRecord(b"1_2", b"x" * 200_000)] * 3
    (refused,) = (await outbox.hand_over(rig.topic, {0: records}, deadline_s)).values()
    assert [type(each.exception()) for each in refused] == [LogUnavailable] * 3


class TestPartitions:
    @given(key=st.binary(max_size=40), partitions=st.integers(1, 50))
    def test_both_clients_agree_on_the_partition_of_a_key(
        self, key: bytes, partitions: int
    ) -> None:
        numbers = list(range(partitions))
        assert partition_of(key, partitions) == WriterPartitioner()(key, numbers, numbers)
        assert partition_of(key, partitions) == (murmur2(key) & 0x7FFF_FFFF) % partitions


class TestOwnership:
    async def test_a_forked_child_may_not_use_it(self, rig: KafkaRig) -> None:
        log = rig.new_log()

        def append() -> None:
            with pytest.raises(RuntimeError, match="one process"):
                asyncio.run(log.append(rig.topic, []))  # type: ignore[arg-type]

        child = multiprocessing.get_context("fork").Process(target=append)
        child.start()
        await asyncio.to_thread(child.join, 30)
        assert child.exitcode == 0

    async def test_another_loop_may_not_use_it(self, rig: KafkaRig) -> None:
        await rig.log.ping()
        with pytest.raises(RuntimeError, match="one event loop"):
            await asyncio.to_thread(asyncio.run, rig.log.append(rig.topic, []))  # type: ignore[arg-type]


class TestReader:
    async def test_finds_a_topic_that_is_made_after_it_has_joined_however_short_it_polls(
        self, rig: KafkaRig, admin: KafkaAdminClient
    ) -> None:
        """Each join of the group takes several polls then."""
        topic = f"{rig.topic}-late"
        arguments = rig.arguments() | {"topic": topic}
        reader = kafka_reader.KafkaLogReader(rig.link, **arguments)  # type: ignore[arg-type]

        async def poll(timeout_s: float) -> list[Record]:
            await asyncio.sleep(0.02)
            with contextlib.suppress(LogUnavailable):
                return await reader.poll(max_records=10, timeout_s=timeout_s)
            return []

        for _ in range(4):
            await poll(0.5)
        create_kafka_topics(rig.link, topics=[topic], partitions=3)
        try:
            deadline = time.monotonic() + 20
            while not await poll(0):
                (future,) = await rig.log.append(topic, [OutgoingRecord(b"1_2", b"x")])
                await asyncio.gather(future, return_exceptions=True)
                assert time.monotonic() < deadline, "not found"
        finally:
            await reader.close()
            admin.delete_topics([topic])

    async def test_a_client_that_hangs_is_left_behind(
        self, rig: KafkaRig, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(kafka_reader, "TIMEOUT_SLACK_S", 0.2)
        monkeypatch.setattr(kafka_reader, "SILENT_FOR_S", 0.2)
        reader = kafka_reader.KafkaLogReader(rig.link, **rig.arguments())  # type: ignore[arg-type]
        await asyncio.gather(*await rig.log.append(rig.topic, [OutgoingRecord(b"1_2", b"first")]))
        monkeypatch.setattr(kafka_reader, "TIMEOUT_SLACK_S", 5.0)
        while not (found := await reader.poll(max_records=10, timeout_s=0.2)):
            pass
        monkeypatch.setattr(kafka_reader, "TIMEOUT_SLACK_S", 0.2)
        monkeypatch.setattr(reader._consumer, "poll", lambda **_: time.sleep(2) or {})
        with pytest.raises(LogUnavailable):
            await reader.poll(max_records=10, timeout_s=0.1)
        monkeypatch.setattr(kafka_reader, "TIMEOUT_SLACK_S", 5.0)
        again: list[Record] = []
        deadline = time.monotonic() + 20
        while not again and time.monotonic() < deadline:
            with contextlib.suppress(LogUnavailable):
                again = await reader.poll(max_records=10, timeout_s=0.2)
        assert again == found
        await reader.close()


class TestTopics:
    def test_making_them_again_changes_nothing(self, admin: KafkaAdminClient) -> None:
        link = KafkaLink((connected("IM_EVENT_LOG_URL").removeprefix("kafka://"),))
        topics = ["test-topics-1", "test-topics-2"]
        try:
            done = create_kafka_topics(link, topics=topics, partitions=3)
            assert [text.startswith("created") for text in done.values()] == [True, True]
            await_retention(admin, topics, [WEEK_MS, WEEK_MS])
            configure(admin, topics[0], retention_ms=-1)
            configure(admin, topics[1], retention_ms=3_600_000)
            await_retention(admin, topics, [-1, 3_600_000])
            done = create_kafka_topics(link, topics=topics, partitions=3)
            assert done[topics[0]] == "exists with 3 partitions"
            assert "now for 7 days" in done[topics[1]]
            await_retention(admin, topics, [-1, WEEK_MS])
            with pytest.raises(TopicMismatch, match="exists with 3 partitions, not 4"):
                create_kafka_topics(link, topics=topics, partitions=4)
        finally:
            admin.delete_topics(topics)

    def test_the_command_says_what_it_did(
        self, admin: KafkaAdminClient, capsys: pytest.CaptureFixture[str]
    ) -> None:
        current = Settings(
            redis_url="",
            event_log_url=connected("IM_EVENT_LOG_URL"),
            topic="test-command",
            dead_letter_topic="test-command-dead",
            partitions=2,
        )
        try:
            with override_settings(IM=current):
                call_command("create_topics")
            assert "test-command: created with 2 partitions" in capsys.readouterr().out
            with (
                override_settings(IM=replace(current, partitions=5)),
                pytest.raises(CommandError, match="IM_PARTITIONS=2"),
            ):
                call_command("create_topics")
            with (
                override_settings(IM=replace(current, event_log_url="kafak://x")),
                pytest.raises(CommandError, match="did you mean kafka"),
            ):
                call_command("create_topics")
        finally:
            admin.delete_topics(["test-command", "test-command-dead"])

    def test_on_redis_streams_there_is_nothing_to_make(
        self, capsys: pytest.CaptureFixture[str]
    ) -> None:
        streams = Settings(redis_url="", event_log_url="redis://127.0.0.1:1/0")
        with override_settings(IM=streams):
            call_command("create_topics")
        assert "no topics to make" in capsys.readouterr().out


@pytest.mark.alone
async def test_a_log_that_is_closed_while_it_connects_leaves_no_connection() -> None:
    """The broker answers one question, and is silent from then on."""
    host, port = connected("IM_EVENT_LOG_URL").removeprefix("kafka://").split(":")
    unanswered, left = asyncio.Event(), asyncio.Event()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        from_broker, to_broker = await asyncio.open_connection(host, port)
        for source, sink in ((reader, to_broker), (from_broker, writer)):
            size = await source.readexactly(4)
            sink.write(size + await source.readexactly(int.from_bytes(size)))
        to_broker.close()
        while await reader.read(1_000):
            unanswered.set()
        writer.close()
        left.set()

    server = await asyncio.start_server(serve, "127.0.0.1")
    address = "127.0.0.1:{1}".format(*server.sockets[0].getsockname())
    log = KafkaEventLog(KafkaLink((address,)), topics=["any"], timeout_s=1.0)
    waiting = asyncio.create_task(log.ping())
    await unanswered.wait()
    await log.close()
    with pytest.raises(LogUnavailable):
        await waiting
    async with server, asyncio.timeout(1):
        await left.wait()


async def test_the_broker_gathers_for_as_long_as_the_reader_wants_at_that_moment(
    rig: KafkaRig, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked_ms: list[int] = []
    create = Fetcher._create_fetch_requests

    def recording(fetcher: Fetcher) -> dict[int, tuple[FetchRequest, object]]:
        requests: dict[int, tuple[FetchRequest, object]] = create(fetcher)
        asked_ms.extend(request.max_wait_ms for request, _ in requests.values())
        return requests

    monkeypatch.setattr(Fetcher, "_create_fetch_requests", recording)
    reader = rig.reader()
    while not asked_ms:
        assert await reader.poll(max_records=10, timeout_s=0.2) == []
    assert set(asked_ms) == {IDLE_WAIT_MS}
    await appended_all(rig, [OutgoingRecord(b"1_2", b"x")])
    while not await reader.poll(max_records=10, timeout_s=0.2):
        continue
    asked_ms.clear()
    # One poll has to last until the fetch under way is answered: an empty poll changes the wait.
    await reader.poll(max_records=10, timeout_s=2)
    assert asked_ms[0] == WAIT_MS
