"""Configure the log: one line for an event, on stdout and in a file.

Called by `imsite.settings` alone. The application logs a constant text with `extra={"action": …,
…ids}`. Bodies and tokens never reach the log, and the loggers of libraries that print bodies at
DEBUG are kept at INFO.
"""

from __future__ import annotations

import json
import logging
import re
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from pythonjsonlogger.core import RESERVED_ATTRS
from pythonjsonlogger.json import JsonFormatter

FILE_BYTES = 20_000_000
FILES_KEPT = 9
TALKATIVE = ("kafka", "aiokafka")  # dozens of lines a connection, one for each failed attempt
TELLS_BODIES = ("django.db.backends", "kombu", "redis")  # at DEBUG, as the talkative do

# `request` (Django's) and `data` (Celery's) hold a whole request or the arguments of a task.
_NOT_FIELDS = frozenset(RESERVED_ATTRS) | {"action", "request", "data"}
_UNSAFE = re.compile("[\x00-\x1f\x7f-\x9f\u2028-\u202e\u2066-\u2069\ud800-\udfff]")
_PLAIN_VALUE = re.compile(r"[^\s\"'=]+")


def logging_config(*, directory: Path, level: str, style: str) -> dict[str, Any]:
    """Return Django's `LOGGING` for this level and style (`plain` or `json`).

    Make the directory where it is missing. Any number of processes may write and rotate
    `im-message.log` at once.
    """
    directory.mkdir(parents=True, exist_ok=True)
    level = level.upper()
    formatters = {"plain": PlainFormatter, "json": OneLineJsonFormatter}
    asked = logging.getLevelNamesMapping()[level]
    quieter = logging.WARNING if asked == logging.INFO else max(logging.INFO, asked)
    handlers: dict[str, dict[str, Any]] = {
        "stdout": {"class": "imsite.unread.StdoutHandler"},
        "file": {
            "class": "concurrent_log_handler.ConcurrentRotatingFileHandler",
            "filename": str(directory / "im-message.log"),
            "maxBytes": FILE_BYTES,
            "backupCount": FILES_KEPT,
            "encoding": "utf-8",
        },
    }
    for name, handler in handlers.items():
        handler |= {"formatter": "line", "filters": [f"{name}_repeats"]}
    return {
        "version": 1,
        "disable_existing_loggers": False,
        "formatters": {"line": {"()": formatters[style]}},
        "filters": {f"{name}_repeats": {"()": RepeatLimit} for name in handlers}
        | {"failures": {"()": FailuresOnly}},
        "handlers": handlers,
        "root": {"level": level, "handlers": list(handlers)},
        "loggers": {name: {"level": quieter} for name in TALKATIVE}
        | {name: {"level": max(logging.INFO, asked)} for name in TELLS_BODIES}
        | {"django": {"level": level, "handlers": [], "propagate": True}}
        | {"django.request": {"filters": ["failures"]}}
        | {"django.security.DisallowedHost": {"level": "CRITICAL"}},
    }


def escape(text: str) -> str:
    r"""Escape each character that could end a line or drive a terminal, as `\x0a` or `\x1b`."""
    return _UNSAFE.sub(_escape_one, text)


def _escape_one(match: re.Match[str]) -> str:
    code = ord(match[0])
    return f"\\x{code:02x}" if code < 0x100 else f"\\u{code:04x}"


class PlainFormatter(logging.Formatter):
    """Write `time level process logger action "text" field=value …` for people, escaped."""

    def format(self, record: logging.LogRecord) -> str:
        parts = [
            _time_of(record),
            record.levelname,
            str(record.process),
            record.name,
            _value(getattr(record, "action", "-")),
            json.dumps(record.getMessage(), ensure_ascii=False),
        ]
        parts += [f"{name}={_value(value)}" for name, value in _fields(record).items()]
        if record.exc_info:
            parts.append(f"exception={_value(self.formatException(record.exc_info))}")
        return escape(" ".join(parts))


class OneLineJsonFormatter(JsonFormatter):
    """Write the fields of `PlainFormatter` as a JSON object in ASCII, for collectors of logs."""

    def add_fields(
        self,
        log_data: dict[str, Any],
        record: logging.LogRecord,
        message_dict: dict[str, Any],
    ) -> None:
        of_every_line = {
            "time": _time_of(record),
            "level": record.levelname,
            "process": record.process,
            "logger": record.name,
            "action": getattr(record, "action", None),
            "message": record.getMessage(),
        }
        log_data |= of_every_line | _fields(record) | of_every_line
        if record.exc_info:
            log_data["exception"] = self.formatException(record.exc_info)

    def serialize_log_record(self, log_data: dict[str, Any]) -> str:
        return super().serialize_log_record(log_data).replace("\x7f", "\\u007f")


class FailuresOnly(logging.Filter):
    """Drop Django's line for each answer of 400 and more: a refusal is an answer, not an event.

    An unexpected exception has its trace in the line, and the line passes.
    """

    def filter(self, record: logging.LogRecord) -> bool:
        return record.exc_info is not None


class RepeatLimit(logging.Filter):
    """Pass a line of a talkative library a few times in ten seconds, then drop and count the line.

    The next line from the same place that passes has the number of dropped lines in `left_out`.
    """

    window_s = 10.0
    allowed = 5

    def __init__(self) -> None:
        super().__init__()
        self._said: dict[tuple[str, int], tuple[float, int]] = {}

    def filter(self, record: logging.LogRecord) -> bool:
        if record.name.partition(".")[0] not in TALKATIVE:
            return True
        now = time.monotonic()
        place = (record.name, record.lineno)
        since, count = self._said.get(place, (now, 0))
        if now - since < self.window_s:
            self._said[place] = (since, count + 1)
            return count < self.allowed
        self._said[place] = (now, 1)
        if count > self.allowed:
            record.left_out = count - self.allowed
        return True


def _time_of(record: logging.LogRecord) -> str:
    moment = datetime.fromtimestamp(record.created, UTC)
    return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _fields(record: logging.LogRecord) -> dict[str, Any]:
    return {name: value for name, value in vars(record).items() if name not in _NOT_FIELDS}


def _value(value: object) -> str:
    """Return a value's text, in quotation marks where the text could pass for several words."""
    text = str(value)
    return text if _PLAIN_VALUE.fullmatch(text) else json.dumps(text, ensure_ascii=False)
