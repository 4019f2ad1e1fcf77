"""Break topics and brokers of a real Kafka in each way that the checks name."""

from __future__ import annotations

import contextlib
import shlex
import threading
import time
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from kafka import KafkaConsumer, KafkaProducer, TopicPartition
from kafka.admin import ConfigResource, KafkaAdminClient
from kafka.structs import OffsetAndMetadata

from messaging.doctor.verdicts import State
from messaging.eventlog.kafka.consuming import consumer_config
from messaging.links import KafkaLink
from tests.integration.doctor.breaking import Breaking, Fault, names, prove, worse
from tests.integration.doctor.instance import Instance
from tests.support.kafka import KafkaServer
from tests.support.processes import wait_until
from tests.support.proxy import Proxy
from tests.support.real_services import connected, free_port

pytestmark = [pytest.mark.connected, pytest.mark.timeout(240)]

FAIL, WARN = State.FAIL, State.WARN
PARTITIONS = 3
DAY_MS = 24 * 3_600 * 1_000


class Reader:
    """Be a member of a group, which polls until `close`."""

    def __init__(self, link: KafkaLink, topic: str, group: str) -> None:
        self._consumer = KafkaConsumer(**consumer_config(link, group))
        self._consumer.subscribe([topic])
        self._ends, self._reads = threading.Event(), threading.Event()
        self._thread = threading.Thread(target=self._poll)
        self._thread.start()
        assert self._reads.wait(60), "no partition was assigned"

    def _poll(self) -> None:
        while not self._ends.is_set():
            self._consumer.poll(100)
            if self._consumer.assignment():
                self._reads.set()
        self._consumer.close(autocommit=False)

    def close(self) -> None:
        self._ends.set()
        self._thread.join(30)


class Log:
    """Hold two topics of a real broker, and a reader of the first one."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.link = KafkaLink((url.removeprefix("kafka://"),))
        name = f"test-doctor-{uuid.uuid4().hex[:8]}"
        self.topic, self.letters, self.group = name, f"{name}-letters", f"{name}-group"
        self.admin = KafkaAdminClient(bootstrap_servers=list(self.link.servers))
        self.reader: Reader | None = None
        kept = {"retention.ms": str(7 * DAY_MS)}
        self.admin.create_topics(
            {
                topic: {"num_partitions": PARTITIONS, "configs": kept}
                for topic in (self.topic, self.letters)
            },
            wait_for_metadata=True,
        )

    @property
    def variables(self) -> dict[str, str]:
        return {
            "IM_EVENT_LOG_URL": self.url,
            "IM_TOPIC": self.topic,
            "IM_DEAD_LETTER_TOPIC": self.letters,
            "IM_CONSUMER_GROUP": self.group,
            "IM_PARTITIONS": str(PARTITIONS),
        }

    def read(self, topic: str | None = None) -> None:
        self.stop_reading()
        self.reader = Reader(self.link, topic or self.topic, self.group)

    def stop_reading(self) -> None:
        if self.reader is not None:
            self.reader.close()
            self.reader = None

    def configure(self, topic: str, **values: str) -> None:
        configs = {name.replace("_", "."): value for name, value in values.items()}
        self.admin.alter_configs([ConfigResource("topic", topic, configs)])

    def kafka_configs(self, command: str) -> None:
        """Carry out a command of Kafka's own program, which the broker's jars lack."""
        words = shlex.split(command)
        assert words[:5] == [
            *("kafka-configs.sh", "--bootstrap-server", self.link.servers[0]),
            *("--alter", "--entity-type"),
        ]
        topic, (name, _, value) = words[7], words[9].partition("=")
        self.admin.alter_configs([ConfigResource("topic", topic, {name: value})])

    def close(self) -> None:
        self.stop_reading()
        self.admin.delete_topics([self.topic, self.letters])
        self.admin.close()


@pytest.fixture
def log() -> Iterator[Log]:
    opened = Log(connected("IM_EVENT_LOG_URL"))
    try:
        opened.read()
        yield opened
    finally:
        opened.close()


@pytest.fixture
def on_kafka(instance: Instance, log: Log) -> Instance:
    instance.set(**log.variables)
    instance.carries("kafka-configs.sh", log.kafka_configs)
    return instance


def config(check: str, state: State, **values: str) -> tuple[Fault, dict[str, str]]:
    told = " ".join(f"{name} {value}" for name, value in values.items())
    at = ("kafka", check)
    return Fault(name=told, at=at, state=state, breaking=lambda _: None), values


FAULTS = (
    config("cleanup", FAIL, cleanup_policy="compact"),
    config("record size", FAIL, max_message_bytes="500000"),
    config("retention", FAIL, retention_ms=str(DAY_MS)),
    config("retention", WARN, retention_bytes="1000000"),
    config("in sync", FAIL, min_insync_replicas="2"),
    config("election", FAIL, unclean_leader_election_enable="true"),
    config("offsets", WARN, retention_ms=str(30 * DAY_MS)),
)
IDS = names(fault for fault, _ in FAULTS)


@pytest.mark.parametrize(("fault", "values"), FAULTS, ids=IDS)
def test_a_setting_of_a_topic_is_found_and_mended(
    on_kafka: Instance, log: Log, fault: Fault, values: dict[str, str]
) -> None:
    prove(on_kafka, broken_by(fault, lambda: log.configure(log.topic, **values)))


def broken_by(fault: Fault, change: Callable[[], object]) -> Fault:
    def breaking(_: Instance) -> None:
        change()

    return Fault(name=fault.name, at=fault.at, state=fault.state, breaking=breaking)


def test_a_setting_of_the_topic_of_dead_letters_is_found(on_kafka: Instance, log: Log) -> None:
    fault = Fault(name="letters", at=("kafka", "retention"), state=FAIL, breaking=lambda _: None)
    prove(on_kafka, broken_by(fault, lambda: log.configure(log.letters, retention_ms="3600000")))


def test_another_number_of_partitions_is_found_and_mended(on_kafka: Instance) -> None:
    fault = Fault(
        name="partitions",
        at=("kafka", "topics"),
        state=FAIL,
        breaking=lambda it: it.set(IM_PARTITIONS="2"),
    )
    prove(on_kafka, fault)


def test_a_missing_topic_is_found_and_made(on_kafka: Instance, log: Log) -> None:
    def delete(_: Instance) -> None:
        log.admin.delete_topics([log.letters])
        wait_until(
            lambda: bool(log.admin.describe_topics([log.letters])[0]["error_code"]),
            limit_s=30,
            what="the end of a topic",
        )

    fault = Fault(name="missing", at=("kafka", "topics"), state=FAIL, breaking=delete, unseen=True)
    prove(on_kafka, fault)


def reading(*, topic: str | None) -> Callable[[Log], Breaking]:
    """Return a way to let nobody read, or to let a member read the topic of this attribute."""

    def of(log: Log) -> Breaking:
        @contextlib.contextmanager
        def breaking(_: Instance) -> Iterator[None]:
            log.stop_reading()
            if topic:
                log.read(getattr(log, topic))
            yield
            log.read()

        return breaking

    return of


@pytest.mark.parametrize(
    ("check", "of"),
    [("members", reading(topic=None)), ("readers", reading(topic="letters"))],
    ids=["nobody", "of another topic"],
)
def test_partitions_that_nobody_reads_are_found(
    on_kafka: Instance, log: Log, check: str, of: Callable[[Log], Breaking]
) -> None:
    fault = Fault(
        name=check,
        at=("kafka", check),
        state=FAIL,
        breaking=of(log),
        mends=False,
        unseen=True,
    )
    prove(on_kafka, fault)


@pytest.mark.parametrize(("age_days", "state"), [(2.0, WARN), (4.0, FAIL)])
def test_a_lag_that_comes_near_the_retention_is_found(
    on_kafka: Instance, log: Log, age_days: float, state: State
) -> None:
    then_ms = round(time.time() * 1000 - age_days * DAY_MS)

    @contextlib.contextmanager
    def lag(_: Instance) -> Iterator[None]:
        with contextlib.closing(KafkaProducer(bootstrap_servers=list(log.link.servers))) as it:
            it.send(log.topic, b"late", partition=1, timestamp_ms=then_ms).get(30)
        yield
        log.admin.alter_group_offsets(
            log.group, {TopicPartition(log.topic, 1): OffsetAndMetadata(1, "", -1)}
        )

    at = ("kafka", "lag")
    log.stop_reading()
    prove_without_members(on_kafka, Fault(name="lag", at=at, state=state, breaking=lag))


def test_records_that_were_deleted_unread_are_found(on_kafka: Instance, log: Log) -> None:
    where = TopicPartition(log.topic, 1)
    with contextlib.closing(KafkaProducer(bootstrap_servers=list(log.link.servers))) as producer:
        for _ in range(3):
            producer.send(log.topic, b"gone", partition=1).get(30)
    log.stop_reading()

    @contextlib.contextmanager
    def lose(_: Instance) -> Iterator[None]:
        log.admin.alter_group_offsets(log.group, {where: OffsetAndMetadata(1, "", -1)})
        log.admin.delete_records({where: 2})
        yield
        log.admin.alter_group_offsets(log.group, {where: OffsetAndMetadata(2, "", -1)})

    at = ("kafka", "lag")
    prove_without_members(on_kafka, Fault(name="lost", at=at, state=FAIL, breaking=lose))


def prove_without_members(instance: Instance, fault: Fault) -> None:
    """Prove a fault of offsets, which can be set while the group has no member."""
    alone = {("kafka", "members")}
    assert worse(instance.found()).keys() == alone
    block = fault.breaking(instance)
    assert block is not None
    with block:
        broken = instance.found()
        assert worse(broken).keys() == {fault.at, *alone}
        assert broken[fault.at].state is fault.state and broken[fault.at].remedy
    assert worse(instance.found()).keys() == alone


def test_one_replica_is_enough_in_development_alone(on_kafka: Instance) -> None:
    at = ("kafka", "replication")
    assert on_kafka.found()[at].state is State.OK
    on_kafka.set(IM_ENV="production")
    assert on_kafka.found()[at].state is WARN


def test_a_kafka_that_is_down_is_found(on_kafka: Instance) -> None:
    on_kafka.hurries()
    on_kafka.set(IM_EVENT_LOG_URL=f"kafka://127.0.0.1:{free_port()}")
    report = on_kafka.look()
    (bad,) = [each for each in report.findings if each.remedy]
    assert (bad.area, bad.check, bad.state) == ("kafka", "answers", FAIL)
    assert on_kafka.hidden(report) == {"kafka"}


def test_a_broker_that_calls_itself_elsewhere_is_found(instance: Instance, tmp_path: Path) -> None:
    """The broker tells its clients the address of a proxy, which ends."""
    connected("IM_EVENT_LOG_URL")  # skips where the jars are not there
    port, at = free_port(), ("kafka", "addresses")
    proxy = Proxy(f"kafka://127.0.0.1:{port}")
    broker = KafkaServer(tmp_path / "broker", port=port, advertised=proxy.port)
    try:
        try:
            broker.start()
            instance.set(IM_EVENT_LOG_URL=f"kafka://127.0.0.1:{port}")
            assert instance.found()[at].state is State.OK
        finally:
            proxy.close()
        found = instance.found()
        assert found[at].state is FAIL and f"127.0.0.1:{proxy.port}" in found[at].found
        assert f"advertised.listeners=PLAINTEXT://127.0.0.1:{port}" in found[at].remedy
    finally:
        broker.stop()
