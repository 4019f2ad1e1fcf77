"""Print a schedule step by step, with short names in place of long ids."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Callable, Mapping, Set
from functools import partial
from types import FunctionType
from typing import Any

from messaging.domain.backend_errors import PoisonRecord
from messaging.domain.events import decode_event
from messaging.domain.ids import TIME_SHIFT, WorkerLease
from messaging.domain.message import ID_MAX, Message
from messaging.ports.log import OutgoingRecord, Record
from tests.support.messages import FIRST_ID

DAY = 86_400_000 << TIME_SHIFT
TOKEN = re.compile("[0-9a-f]{16}")  # an owner's token, which no seed draws


class Trace:
    """Give each step to `report` as a line.

    Messages are m1, m2 … and owners' tokens t3, t4 … in the order of appearance.
    """

    def __init__(self, clock_s: Callable[[], float], report: Callable[[str], None] | None) -> None:
        self._clock_s, self._report = clock_s, report
        self._names: dict[int | str, str] = {}

    def __call__(self, who: str, what: str, args: object = (), outcome: object = "") -> None:
        if self._report is not None:
            told = self.describe(args) if args else ""
            ends = f" -> {self.describe(outcome)}" if outcome != "" else ""
            self._report(f"{self._clock_s():8.4f}  {who:12} {what} {told}{ends}")

    def describe(self, value: Any) -> str:
        if isinstance(value, str):
            return self._named(value) if TOKEN.fullmatch(value) else value
        if isinstance(value, int) and FIRST_ID - DAY <= value <= ID_MAX:
            return self._named(value)
        if isinstance(value, Mapping):
            told = [f"{self.describe(k)}={self.describe(v)}" for k, v in value.items()]
            return ", ".join(line for line in told if not line.startswith("texts="))
        if isinstance(value, list | tuple | Set):
            return f"[{', '.join(text for v in value if (text := self.describe(v)))}]"
        return self._describe_one(value)

    def _describe_one(self, value: Any) -> str:
        if isinstance(value, Message):
            state = "recalled" if value.is_recalled else repr(value.content)
            return f"{self.describe(value.id)}:{state}" + (f":{value.seq}" if value.seq else "")
        if isinstance(value, OutgoingRecord | Record):
            return self._describe_record(value)
        if isinstance(value, WorkerLease):
            return f"lease {value.node}"
        if isinstance(value, BaseException):
            return f"{type(value).__name__} {value}"
        if isinstance(value, FunctionType | partial):
            return "a function"
        if dataclasses.is_dataclass(value):
            fields = {f.name: getattr(value, f.name) for f in dataclasses.fields(value)}
            return f"{type(value).__name__}({self.describe(fields)})"
        return repr(value)

    def _describe_record(self, record: OutgoingRecord | Record) -> str:
        try:
            state = self.describe(decode_event(record.value))
        except PoisonRecord:
            state = "unreadable"
        if isinstance(record, Record):
            return f"{record.position.partition}/{record.position.offset} {state}"
        return state

    def _named(self, value: int | str) -> str:
        kind = "t" if isinstance(value, str) else "m"
        return self._names.setdefault(value, f"{kind}{len(self._names) + 1}")
