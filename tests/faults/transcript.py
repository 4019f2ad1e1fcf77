"""Record one run of a row: each operation of the load, and the rows stored in the end.

The file has JSON lines, one record a line, so that a run can be judged again. Times are seconds of
one monotonic clock; ids are integers.
"""

from __future__ import annotations

import time
from pathlib import Path
from types import TracebackType
from typing import Literal, Self, TextIO

import msgspec

Kind = Literal[
    "send",
    "recall",
    "delete",
    "history",
    "get",
    "invite",
    "remove",
    "sync",
    "span",
    "mark",
    "list",
]
Outcome = Literal["ok", "refused", "unknown"]
NOT_FOUND, ALREADY_RECALLED, REUSED = 3002, 3003, 3006
TOLD = "told"  # after this mark every told id is asked for


class ShownMessage(msgspec.Struct, frozen=True, array_like=True):
    """Hold a message as a read showed it."""

    id: int
    content: str
    url: str | None
    is_recalled: bool
    seq: int | None
    is_notice: bool = False


class Operation(msgspec.Struct, tag="operation", kw_only=True):
    """Hold one call of the API.

    `outcome` is `unknown` when the call may or may not have been done.
    `message_id` is the id that the call asked about, or that a send was told.
    `guest` is the user whom the owner of the group invites or removes.
    `status` is 0 where no answer came; `code` is the business code.
    """

    kind: Kind
    user: int
    conversation: str
    invoked_s: float
    completed_s: float = 0.0
    outcome: Outcome = "unknown"
    status: int = 0
    code: int = 0
    message_id: int | None = None
    client_msg_id: str | None = None
    content: str = ""
    url: str | None = None
    durability: str | None = None
    before: int | None = None
    guest: int = 0
    has_more: bool = False
    partial: bool = False
    seen: list[ShownMessage] = []

    @property
    def took_s(self) -> float:
        return self.completed_s - self.invoked_s


class Mark(msgspec.Struct, tag="mark", frozen=True):
    """Mark the moment in which a phase began (`fault`, `healed`, `drained` …), or note a figure."""

    name: str
    at_s: float
    value: float = 0.0


class StoredMessage(msgspec.Struct, tag="row", frozen=True, kw_only=True):
    """Hold a stored message."""

    id: int
    conversation: str
    seq: int
    sender: int
    client_msg_id: str | None
    content: str
    url: str | None
    is_recalled: bool
    is_notice: bool = False


class StoredConversation(msgspec.Struct, tag="conversation", frozen=True, kw_only=True):
    """Hold a stored conversation."""

    id: str
    last_seq: int


Record = Operation | Mark | StoredMessage | StoredConversation


class Transcript(msgspec.Struct):
    operations: list[Operation] = []
    marks: list[Mark] = []
    rows: list[StoredMessage] = []
    conversations: list[StoredConversation] = []

    def add(self, record: Record) -> None:
        match record:
            case Operation():
                self.operations.append(record)
            case Mark():
                self.marks.append(record)
            case StoredMessage():
                self.rows.append(record)
            case StoredConversation():
                self.conversations.append(record)

    def at(self, mark: str) -> float:
        """Return the time when the phase began; infinity when it did not begin."""
        return next((each.at_s for each in self.marks if each.name == mark), float("inf"))

    def value_of(self, mark: str) -> float:
        """Return the figure that was noted under this name.

        Raises: KeyError.
        """
        return {each.name: each.value for each in self.marks}[mark]


class Recorder:
    """Keep a transcript in memory and write it to a file as it grows."""

    def __init__(self, path: Path) -> None:
        self.transcript = Transcript()
        self._file: TextIO = path.open("w")
        self._encoder = msgspec.json.Encoder()

    def add(self, record: Record) -> None:
        self.transcript.add(record)
        self._file.write(self._encoder.encode(record).decode() + "\n")

    def mark(self, name: str, value: float = 0.0) -> None:
        self.add(Mark(name, time.monotonic(), value))

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._file.close()


def read_transcript(path: Path) -> Transcript:
    decoder = msgspec.json.Decoder(Record)
    transcript = Transcript()
    with path.open() as lines:
        for line in lines:
            transcript.add(decoder.decode(line))
    return transcript
