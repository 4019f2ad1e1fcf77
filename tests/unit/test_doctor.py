"""Check what a server tells that no test can start: an old one, or a replica that is behind."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from pytest_django import Settings

from messaging.doctor import database, kafka, redis
from messaging.doctor.examination import CHECKS
from messaging.doctor.programs import start_of
from messaging.doctor.report import document_of, lines
from messaging.doctor.surroundings import Surroundings
from messaging.doctor.verdicts import Finding, LeftOut, Report, State


def telling(**info: object) -> Surroundings:
    """Return surroundings whose Redis has told this by INFO."""
    around = Surroundings()
    around.__dict__["redis_info"] = info
    return around


@pytest.mark.parametrize(
    ("version", "state"),
    [("6.0.16", State.FAIL), ("5.0.14", State.FAIL), ("6.2.0", State.OK), ("10.0.1", State.OK)],
)
def test_a_redis_that_is_too_old_fails(version: str, state: State) -> None:
    verdict = redis._check_version(telling(redis_version=version))
    assert verdict.state is state and version in verdict.found


@pytest.mark.parametrize("field", ["aof_last_write_status", "rdb_last_bgsave_status"])
def test_a_write_that_failed_fails(field: str) -> None:
    well = {"aof_last_bgrewrite_status": "ok", "rdb_last_bgsave_status": "ok"}
    assert redis._check_writes(telling(**well)).state is State.OK
    verdict = redis._check_writes(telling(**well | {field: "err"}))
    assert verdict.state is State.FAIL and verdict.remedy


class OneRow:
    """Be a connection whose every answer is one row."""

    def __init__(self, *row: object) -> None:
        self._row = row

    def cursor(self) -> OneRow:
        return self

    def __enter__(self) -> OneRow:
        return self

    def __exit__(self, *_: object) -> None:
        return None

    def execute(self, _: str) -> None:
        return None

    def fetchone(self) -> tuple[object, ...]:
        return self._row


@pytest.mark.parametrize(
    ("version", "state"),
    [
        ("10.6.16-MariaDB", State.WARN),
        ("10.11.19-MariaDB-0+deb12u1", State.OK),
        ("5.7.44-log", State.WARN),
        ("8.4.6", State.OK),
    ],
)
def test_a_database_that_was_never_tried_warns(version: str, state: State) -> None:
    connection: Any = OneRow(version)
    assert database._check_version(connection).state is state


def admin_of(*in_sync: int, replicas: int = 3) -> Any:
    """Return a client that describes topics, a partition for each number of replicas in sync."""
    nodes = list(range(replicas))
    partitions = [{"replica_nodes": nodes, "isr_nodes": nodes[:count]} for count in in_sync]
    return SimpleNamespace(
        describe_topics=lambda names: [
            {"name": name, "error_code": 0, "partitions": partitions} for name in names
        ]
    )


def test_a_replica_that_is_behind_warns(settings: Settings) -> None:
    settings.IM = replace(settings.IM, event_log_url="kafka://127.0.0.1:9092")
    assert kafka.check_replicas(admin_of(3, 3)).state is State.OK
    verdict = kafka.check_replicas(admin_of(3, 2))
    assert verdict.state is State.WARN and verdict.found.startswith("2 partitions")  # of two topics


def test_each_check_has_a_name_of_its_own() -> None:
    places = [(check.area, check.name) for check in CHECKS]
    assert len(places) == len(set(places)) > 50


def test_a_program_is_started_by_the_supervisor_that_runs_it(
    settings: Settings, tmp_path: Path
) -> None:
    settings.VAR_DIR = tmp_path
    assert start_of("consumer") == "manage.py run_kafka_consumer"
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "supervisord.pid").write_text("7")
    configuration = tmp_path / "run" / "supervisord.conf"
    assert start_of("consumer") == f".venv/bin/supervisorctl -c {configuration} restart consumer"


def test_a_report_is_printed_with_each_remedy_on_a_line_of_its_own() -> None:
    report = Report(
        (
            Finding("redis", "memory", State.OK, "Fine.", ""),
            Finding("redis", "file", State.FAIL, "No file.", "make one"),
        ),
        (
            *(LeftOut("kafka", str(number), "Kafka does not answer") for number in range(4)),
            LeftOut("messages", "pending", "it is dark"),
        ),
    )
    assert list(lines(report)) == [
        "redis",
        "  OK    memory  Fine.",
        "  FAIL  file    No file.",
        "                make one",
        "",
        "kafka",
        "  –     4 more checks: not made, as Kafka does not answer",
        "",
        "messages",
        "  –     pending: not made, as it is dark",
        "",
        "1 OK, 1 FAIL, 5 not made",
    ]
    document = document_of(report)
    assert document["state"] == "FAIL" and len(document["leftOut"]) == 5
    assert document["findings"][1]["remedy"] == "make one"
