"""Where log lines go and what they look like: one event, one line, on stdout and in a file.

Called by `imsite.settings` alone. The application logs a constant text with `extra={"action": …,
…ids}`; bodies and tokens never get here, and the loggers of libraries that print them at DEBUG
are kept at INFO.
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
    """The `LOGGING` of Django for this level and style (`plain` or `json`); makes the directory.

    `im-message.log` may be written and rotated by any number of processes at once.
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
    r"""The text without anything that could end a line or drive a terminal: `\x0a`, `\x1b` …"""
    return _UNSAFE.sub(_escape_one, text)


def _escape_one(match: re.Match[str]) -> str:
    code = ord(match[0])
    return f"\\x{code:02x}" if code < 0x100 else f"\\u{code:04x}"


class PlainFormatter(logging.Formatter):
    """`time level process logger action "text" field=value …`, for people; everything escaped."""

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
    """The same as a JSON object of ASCII characters, for collectors."""

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
    """Drops Django's line for each answer of 400 and more: a refusal is an answer, not an event.

    What nobody anticipated comes with its trace, and passes.
    """

    def filter(self, record: logging.LogRecord) -> bool:
        return record.exc_info is not None


class RepeatLimit(logging.Filter):
    """Lets a talkative library say the same thing a few times in ten seconds, then counts.

    The next line that passes tells in `left_out` how many did not.
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
    """As it is where that is one word; in quotation marks where it could pass for several."""
    text = str(value)
    return text if _PLAIN_VALUE.fullmatch(text) else json.dumps(text, ensure_ascii=False)
