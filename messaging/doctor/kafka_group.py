"""Check the consumers' group: its members, its readers, its lag, and its committed offsets."""

from __future__ import annotations

import time
from typing import Any

from kafka import TopicPartition
from kafka.admin import ConfigResource, KafkaAdminClient, OffsetSpec

from messaging.conf import settings
from messaging.doctor import kafka
from messaging.doctor.checks import checks_of
from messaging.doctor.kafka import AREA, HOUR_MS, seen
from messaging.doctor.programs import COMMANDS, start_of
from messaging.doctor.verdicts import NotSeen, Verdict, fail, ok, warn
from messaging.eventlog.kafka.topics import RETENTION_MS

CONSUME = COMMANDS["consumer"]
STABLE = "Stable"
WARN_LAG, FAIL_LAG = 0.25, 0.5  # of the retention
MINUTE_MS = 60_000


def _check_members(admin: KafkaAdminClient) -> Verdict:
    members, name = len(_group(admin)["members"]), settings().consumer_group
    if not members:
        return fail(f"The group {name} has no member: nothing is read.", start_of("consumer"))
    return ok(f"The group {name} has {members} member{'s' if members > 1 else ''}.")


def _check_readers(admin: KafkaAdminClient) -> Verdict:
    """Check that each partition belongs to a member that reads."""
    group = _group(admin)
    if not group["members"]:
        raise NotSeen("the group has no member")
    if group["group_state"] != STABLE:
        raise NotSeen("the group is sharing its partitions anew")
    read = {
        number
        for member in group["members"]
        for assigned in (member["member_assignment"] or {}).get("assigned_partitions", ())
        if assigned["topic"] == settings().topic
        for number in assigned["partitions"]
    }
    unread = sorted(set(range(settings().partitions)) - read)
    if unread:
        return fail(
            f"Nobody reads {len(unread)} partitions of {settings().topic}: "
            f"{', '.join(map(str, unread[:10]))}.",
            f"{CONSUME}  # stop the present consumers first; all need the same IM_TOPIC",
        )
    return ok("Each partition has a reader.")


def _check_lag(admin: KafkaAdminClient) -> Verdict:
    """Compare the age of the oldest record that is not committed with the time it is kept."""
    first = _offsets(admin, OffsetSpec.EARLIEST)
    committed = _committed(admin, first)
    lost = sum(max(first[each] - committed[each], 0) for each in first)
    if lost:
        return fail(
            f"{lost:,} records were deleted before they were read.",
            "manage.py audit --repair  # persists them from Redis, where they still are",
        )
    kept_ms = int(kafka.configs(admin)[settings().topic]["retention.ms"])
    kept_ms = RETENTION_MS if kept_ms < 0 else kept_ms
    end = _offsets(admin, OffsetSpec.LATEST)
    records = sum(max(end[each] - committed[each], 0) for each in end)
    for share, judge in ((FAIL_LAG, fail), (WARN_LAG, warn)):
        since_ms = round(time.time() * 1000 - share * kept_ms)
        younger = _offsets(admin, since_ms)
        bounds = {each: end[each] if younger[each] < 0 else younger[each] for each in end}
        if any(committed[each] < bounds[each] for each in end):
            return judge(
                f"{records:,} records wait, some for over {share * kept_ms / HOUR_MS:.0f} hours; "
                f"they are kept for {kept_ms / HOUR_MS:.0f}.",
                f"{CONSUME} --workers {settings().partitions}",
            )
    return ok(f"{records:,} records wait to be read, none for long.")


def _check_offsets(admin: KafkaAdminClient) -> Verdict:
    """Check that an idle group's committed offsets live as long as the records."""
    (broker, *_) = (each["broker_id"] for each in admin.describe_cluster()["brokers"])
    resource = ConfigResource("broker", str(broker))
    found: dict[str, Any] = admin.describe_configs([resource], config_filter="all")["broker"]
    offsets_ms = int(found[str(broker)]["offsets.retention.minutes"]["value"]) * MINUTE_MS
    records_ms = int(kafka.configs(admin)[settings().topic]["retention.ms"])
    if not 0 <= records_ms <= offsets_ms:
        kept = f"for {records_ms / HOUR_MS:.0f} hours" if records_ms >= 0 else "for ever"
        return warn(
            f"The offsets of a group without members are kept for {offsets_ms / HOUR_MS:.0f} "
            f"hours, records {kept}: after a long stop all are read again.",
            kafka.alter(settings().topic, "retention.ms", str(max(offsets_ms, RETENTION_MS))),
        )
    return ok(f"Offsets are kept for {offsets_ms / HOUR_MS:.0f} hours, as long as records.")


def _group(admin: KafkaAdminClient) -> Any:
    name = settings().consumer_group
    return admin.describe_groups([name])[name]


def _offsets(admin: KafkaAdminClient, spec: Any) -> dict[TopicPartition, int]:
    """Return by partition the offset that this specification, or this time (ms), stands for."""
    parts = [TopicPartition(settings().topic, each) for each in range(settings().partitions)]
    found = admin.list_partition_offsets(dict.fromkeys(parts, spec))
    return {each: found[each].offset for each in parts}


def _committed(
    admin: KafkaAdminClient, first: dict[TopicPartition, int]
) -> dict[TopicPartition, int]:
    """Return by partition the committed offset, the first one where none is committed."""
    name = settings().consumer_group
    found = admin.list_group_offsets([name])[name]
    return {each: found[each].offset if each in found else first[each] for each in first}


CHECKS = checks_of(
    AREA,
    {
        "answers": kafka.check_answers,
        "addresses": seen(kafka.check_addresses),
        "topics": seen(kafka.check_topics),
        "cleanup": seen(kafka.check_cleanup),
        "record size": seen(kafka.check_record_size),
        "retention": seen(kafka.check_retention),
        "replication": seen(kafka.check_replication),
        "in sync": seen(kafka.check_in_sync),
        "election": seen(kafka.check_election),
        "replicas": seen(kafka.check_replicas),
        "members": seen(_check_members),
        "readers": seen(_check_readers),
        "lag": seen(_check_lag),
        "offsets": seen(_check_offsets),
    },
)
