"""Test the format of a log line with any text put into it."""

from __future__ import annotations

import json
import logging
import sys
from pathlib import Path
from typing import Any

import pytest

from imsite.logs import OneLineJsonFormatter, PlainFormatter, RepeatLimit, logging_config

HOSTILE = "a\r\nb\x1b[31mred\x00\x7f\x85\u2028\u202e\ud800end"
FORMATTERS = [PlainFormatter, OneLineJsonFormatter]


def a_record(text: str = "batch persisted", *args: object, **fields: object) -> logging.LogRecord:
    name = str(fields.pop("name", "messaging.pipeline.batch"))
    exc_info = fields.pop("exc_info", None)
    return logging.getLogger(name).makeRecord(
        name,
        logging.INFO,
        __file__,
        1,
        text,
        args,
        exc_info,
        extra=fields,  # type: ignore[arg-type]
    )


def test_a_plain_line_tells_time_level_process_logger_action_text_and_ids() -> None:
    record = a_record(action="batch.persisted", count=12, message_id=7)
    record.created, record.process = 1732723200.5, 42
    assert PlainFormatter().format(record) == (
        "2024-11-27T16:00:00.500Z INFO 42 messaging.pipeline.batch batch.persisted "
        '"batch persisted" count=12 message_id=7'
    )


def test_a_json_line_tells_the_same() -> None:
    record = a_record(action="batch.persisted", count=12, message_id=7)
    record.created, record.process = 1732723200.5, 42
    assert json.loads(OneLineJsonFormatter().format(record)) == {
        "time": "2024-11-27T16:00:00.500Z",
        "level": "INFO",
        "process": 42,
        "logger": "messaging.pipeline.batch",
        "action": "batch.persisted",
        "message": "batch persisted",
        "count": 12,
        "message_id": 7,
    }


@pytest.mark.parametrize("formatter", FORMATTERS)
@pytest.mark.parametrize(
    "fields",
    [{"user": HOSTILE}, {"action": HOSTILE}, {"name": HOSTILE}, {"ids": [HOSTILE]}],
    ids=lambda fields: next(iter(fields)),
)
def test_no_field_can_end_a_line_or_drive_a_terminal(
    formatter: type[logging.Formatter], fields: dict[str, object]
) -> None:
    assert_harmless(formatter().format(a_record(**fields)))


@pytest.mark.parametrize("formatter", FORMATTERS)
def test_no_text_or_argument_can_end_a_line(formatter: type[logging.Formatter]) -> None:
    assert_harmless(formatter().format(a_record(HOSTILE)))
    assert_harmless(formatter().format(a_record("told %s", HOSTILE)))


@pytest.mark.parametrize("formatter", FORMATTERS)
def test_an_exception_stays_on_its_line(formatter: type[logging.Formatter]) -> None:
    try:
        raise ValueError(HOSTILE)
    except ValueError:
        line = formatter().format(a_record(exc_info=sys.exc_info()))
    assert "ValueError" in line
    assert_harmless(line)


def assert_harmless(line: str) -> None:
    assert "red" in line  # the given text is there …
    assert line.isprintable()  # … and no part of the text can be taken for a control character
    line.encode()


def test_a_plain_value_cannot_pass_for_another_field() -> None:
    line = PlainFormatter().format(a_record(user='eve" admin=true', url="/?a=1", empty=""))
    assert line.endswith(r' user="eve\" admin=true" url="/?a=1" empty=""')


def test_an_extra_field_cannot_replace_what_every_json_line_tells() -> None:
    line = json.loads(OneLineJsonFormatter().format(a_record(level="forged", logger="forged")))
    assert (line["level"], line["logger"]) == ("INFO", "messaging.pipeline.batch")


@pytest.mark.parametrize("formatter", FORMATTERS)
def test_a_whole_request_is_not_a_field(formatter: type[logging.Formatter]) -> None:
    line = formatter().format(a_record(request="GET /?token=secret", data={"args": "secret"}))
    assert "secret" not in line


@pytest.mark.parametrize("name", ["kafka", "aiokafka", "django.db.backends", "kombu", "redis"])
@pytest.mark.parametrize("level", ["DEBUG", "info", "ERROR"])
def test_a_logger_that_prints_bodies_is_never_below_info(
    tmp_path: Path, name: str, level: str
) -> None:
    config = logging_config(directory=tmp_path, level=level, style="plain")
    assert config["root"]["level"] == level.upper()
    logger = logging.Logger("any")
    logger.setLevel(config["loggers"][name]["level"])
    assert logger.level >= max(logging.INFO, getattr(logging, level.upper()))


def test_what_a_log_client_says_of_its_connections_is_shown_at_debug_alone(tmp_path: Path) -> None:
    levels = {
        level: logging_config(directory=tmp_path, level=level, style="plain")["loggers"]["kafka"]
        for level in ("DEBUG", "INFO")
    }
    assert levels == {"DEBUG": {"level": logging.INFO}, "INFO": {"level": logging.WARNING}}


@pytest.mark.parametrize("style", ["plain", "json"])
def test_lines_go_to_stdout_and_to_a_rotated_file(tmp_path: Path, style: str) -> None:
    config: dict[str, Any] = logging_config(directory=tmp_path / "logs", level="INFO", style=style)
    assert set(config["root"]["handlers"]) == {"stdout", "file"}
    assert config["handlers"]["file"]["filename"] == str(tmp_path / "logs" / "im-message.log")
    assert config["handlers"]["file"]["maxBytes"] > 0
    assert (tmp_path / "logs").is_dir()


def test_a_library_that_repeats_itself_is_counted_instead(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    now = 100.0
    monkeypatch.setattr("imsite.logs.time.monotonic", lambda: now)
    limit = RepeatLimit()
    said = [limit.filter(a_record(name="aiokafka.conn")) for _ in range(1_000)]
    assert said.count(True) == RepeatLimit.allowed
    assert limit.filter(a_record(name="aiokafka.producer")), "another place has its own count"

    now += RepeatLimit.window_s
    record = a_record(name="aiokafka.conn")
    assert limit.filter(record)
    assert vars(record)["left_out"] == 1_000 - RepeatLimit.allowed


def test_our_own_lines_are_never_left_out() -> None:
    limit = RepeatLimit()
    assert all(limit.filter(a_record()) for _ in range(1_000))
