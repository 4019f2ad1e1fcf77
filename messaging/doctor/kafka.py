"""Check Kafka: brokers that can be reached, and topics that keep their records."""

from __future__ import annotations

import contextlib
import socket
from collections.abc import Callable, Mapping
from functools import wraps
from typing import Any

from django.conf import settings as django_settings
from kafka.admin import ConfigResource, KafkaAdminClient
from kafka.errors import KafkaError, UnknownTopicOrPartitionError

from messaging.conf import settings
from messaging.doctor.checks import Look, answer_of
from messaging.doctor.surroundings import WAIT_S, Surroundings, kafka_link
from messaging.doctor.verdicts import NotSeen, Verdict, fail, ok, warn
from messaging.eventlog.kafka.topics import RETENTION_MS
from messaging.links import reason
from messaging.ports.log import MAX_RECORD_BYTES

AREA = "kafka"
HOUR_MS = 3_600_000
CREATE = "manage.py create_topics"
FRAMING_BYTES = 1_024  # of a record, at most
Configs = Mapping[str, Mapping[str, str]]  # by topic and name


def seen(look: Callable[[KafkaAdminClient], Verdict | None]) -> Look:
    """Leave a check out without Kafka; an error of Kafka is a reason for which nothing is seen."""

    @wraps(look)
    def looked(around: Surroundings) -> Verdict | None:
        if kafka_link() is None:
            return None
        admin = around.kafka
        try:
            return look(admin)
        except (KafkaError, OSError) as error:
            raise NotSeen(f"Kafka refused to tell ({reason(error)})") from error

    return looked


def check_answers(around: Surroundings) -> Verdict | None:
    link = kafka_link()
    if link is None:
        return None
    servers = ", ".join(link.servers)
    return answer_of(lambda each: each.kafka, lambda: f"Kafka at {servers} answers.")(around)


def check_addresses(admin: KafkaAdminClient) -> Verdict:
    """Connect to each broker at the address that the brokers tell their clients."""
    # A broker's first answer names all of them. A further question would go to such an address.
    brokers = admin._manager.cluster.brokers()
    places = sorted((str(broker.host), int(broker.port)) for broker in brokers)
    away = [f"{host}:{port}" for host, port in places if not _is_open(host, port)]
    if away:
        return fail(
            f"The brokers call themselves {', '.join(away)}, where nobody answers from here.",
            f"advertised.listeners=PLAINTEXT://{bootstrap()}  # in the broker's server.properties",
        )
    return ok(f"Each broker answers at its own address: {len(places)} of {len(places)}.")


def _is_open(host: str, port: int) -> bool:
    with contextlib.suppress(OSError), socket.create_connection((host, port), WAIT_S / 2):
        return True
    return False


def check_topics(admin: KafkaAdminClient) -> Verdict:
    wanted = settings().partitions
    for topic, found in _descriptions(admin).items():
        if found is None:
            return fail(f"The topic {topic} is missing.", CREATE)
        if len(found["partitions"]) != wanted:
            return fail(
                f"{topic} has {len(found['partitions'])} partitions, and IM_PARTITIONS is "
                f"{wanted}: keys would move between partitions.",
                f"export IM_PARTITIONS={len(found['partitions'])}",
            )
    return ok(f"Both topics have {wanted} partitions.")


def check_cleanup(admin: KafkaAdminClient) -> Verdict:
    for topic, config in configs(admin).items():
        if config["cleanup.policy"] != "delete":
            return fail(
                f"cleanup.policy of {topic} is {config['cleanup.policy']}: compaction keeps one "
                "record of a conversation.",
                alter(topic, "cleanup.policy", "delete"),
            )
    return ok("cleanup.policy is delete.")


def check_record_size(admin: KafkaAdminClient) -> Verdict:
    least = MAX_RECORD_BYTES + FRAMING_BYTES
    for topic, config in configs(admin).items():
        if int(config["max.message.bytes"]) < least:
            return fail(
                f"max.message.bytes of {topic} is {int(config['max.message.bytes']):,}; a record "
                f"may have {MAX_RECORD_BYTES:,}.",
                alter(topic, "max.message.bytes", "1048588"),
            )
    return ok(f"A record may have {MAX_RECORD_BYTES:,} bytes.")


def check_retention(admin: KafkaAdminClient) -> Verdict:
    """Check the values that the broker uses, whoever has set them."""
    for topic, config in configs(admin).items():
        kept_ms = int(config["retention.ms"])
        if 0 <= kept_ms < RETENTION_MS:
            return fail(
                f"{topic} keeps its records for {kept_ms / HOUR_MS:.3g} hours: a consumer that is "
                "down for longer loses the rest.",
                CREATE,
            )
        if int(config["retention.bytes"]) >= 0:
            return warn(
                f"{topic} keeps {int(config['retention.bytes']):,} bytes a partition, whatever the "
                "consumer has read.",
                alter(topic, "retention.bytes", "-1"),
            )
    return ok(f"Both topics keep their records for {RETENTION_MS / HOUR_MS / 24:.0f} days or more.")


def check_replication(admin: KafkaAdminClient) -> Verdict:
    least = min(map(len, _replicas(admin, "replica_nodes")))
    if least == 1 and django_settings.PRODUCTION:
        return warn(
            "A partition has one replica: its broker's disk is the only one with the records.",
            f"kafka-reassign-partitions.sh --bootstrap-server {bootstrap()} --generate "
            "--topics-to-move-json-file topics.json --broker-list 1,2,3",
        )
    return ok(f"Each partition has {least} replica{'s' if least > 1 else ', as in development'}.")


def check_in_sync(admin: KafkaAdminClient) -> Verdict:
    """Compare the replicas that must confirm a record with those that there are."""
    replicas, least = min(map(len, _replicas(admin, "replica_nodes"))), 1
    for topic, config in configs(admin).items():
        least = int(config["min.insync.replicas"])
        if least > 1 and least >= replicas:
            return fail(
                f"{topic} takes records from {least} replicas in sync, and has {replicas}: one "
                "broker that is away stops it.",
                alter(topic, "min.insync.replicas", str(max(replicas - 1, 1))),
            )
        if least == 1 and replicas > 2:
            return warn(
                f"{topic} confirms a record that one of {replicas} replicas has.",
                alter(topic, "min.insync.replicas", str(replicas - 1)),
            )
    return ok(f"A record is confirmed when {least} of {replicas} replicas in sync have the record.")


def check_election(admin: KafkaAdminClient) -> Verdict:
    for topic, config in configs(admin).items():
        if config["unclean.leader.election.enable"] != "false":
            return fail(
                f"{topic} may be led by a replica that lacks confirmed records.",
                alter(topic, "unclean.leader.election.enable", "false"),
            )
    return ok("Only a replica in sync may lead.")


def check_replicas(admin: KafkaAdminClient) -> Verdict:
    pairs = zip(_replicas(admin, "replica_nodes"), _replicas(admin, "isr_nodes"), strict=True)
    behind = sum(len(in_sync) < len(replicas) for replicas, in_sync in pairs)
    if behind:
        return warn(
            f"{behind} partitions have replicas that are behind.",
            f"kafka-topics.sh --bootstrap-server {bootstrap()} --describe "
            "--under-replicated-partitions",
        )
    return ok("Every replica is in sync.")


def bootstrap() -> str:
    link = kafka_link()
    assert link is not None
    return ",".join(link.servers)


def alter(topic: str, name: str, value: str) -> str:
    """Return the command that sets this value for a topic."""
    return (
        f"kafka-configs.sh --bootstrap-server {bootstrap()} --alter --entity-type topics "
        f"--entity-name {topic} --add-config {name}={value}"
    )


def topics() -> list[str]:
    return [settings().topic, settings().dead_letter_topic]


def _descriptions(admin: KafkaAdminClient) -> dict[str, Any]:
    """Return the description of each topic, None for a missing one."""
    missing = UnknownTopicOrPartitionError.errno
    found = {each["name"]: each for each in admin.describe_topics(topics())}
    return {
        topic: None if found[topic]["error_code"] == missing else found[topic] for topic in topics()
    }


def _replicas(admin: KafkaAdminClient, kind: str) -> list[list[int]]:
    described = _descriptions(admin).values()
    return [part[kind] for each in described for part in _there(each)["partitions"]]


def _there(topic: Any) -> Any:
    if topic is None:
        raise NotSeen("a topic is missing")
    return topic


def configs(admin: KafkaAdminClient) -> Configs:
    for each in _descriptions(admin).values():
        _there(each)
    resources = [ConfigResource("topic", topic) for topic in topics()]
    found = admin.describe_configs(resources, config_filter="all")["topic"]
    return {
        topic: {name: str(entry["value"]) for name, entry in found[topic].items()}
        for topic in topics()
    }
