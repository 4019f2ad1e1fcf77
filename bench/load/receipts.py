"""Keep the acknowledged messages in files of 16 bytes a message.

The load writes the files, and the check reads them. A receipt is a message id and a tag. The tag
says who sent the message, in which lap of the run, under which number. A recall is a second
receipt, with the flag RECALLED in its tag.
"""

from __future__ import annotations

from array import array
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import BinaryIO, NamedTuple

RECALLED = 1 << 60
MAX_LAPS = 1 << 8
MAX_SENDERS = 1 << 20
RECEIPT_BYTES = 16
READ_BYTES = RECEIPT_BYTES << 13


class SentMessage(NamedTuple):
    """Name the message that a tag means."""

    lap: int
    sender: int
    number: int


def tag_base(lap: int, sender: int) -> int:
    """Return the tag of a sender's message 0; the tag of message `n` is `n` more."""
    assert lap < MAX_LAPS
    assert sender < MAX_SENDERS
    return lap << 52 | sender << 32


def sent_of(tag: int) -> SentMessage:
    return SentMessage(tag >> 52 & MAX_LAPS - 1, sender_of(tag), tag & 0xFFFF_FFFF)


def sender_of(tag: int) -> int:
    return tag >> 32 & MAX_SENDERS - 1


class Receipts:
    """Collect the acknowledged messages of one load process, in the order of each sender.

    `note((message_id, tag))` adds one; `flush` now and then keeps the memory small.
    """

    __slots__ = ("_file", "_items", "note", "sent")

    def __init__(self, path: Path | None) -> None:
        """Open the file; without a path the messages are only counted."""
        self._file: BinaryIO | None = path.open("wb", buffering=0) if path else None
        self._items = array("Q")
        self.note: Callable[[tuple[int, int]], None] = self._items.extend
        self.sent = 0

    def note_recall(self, message_id: int, tag: int) -> None:
        self.note((message_id, tag | RECALLED))
        self.sent -= 1

    def flush(self) -> None:
        self.sent += len(self._items) // 2
        if self._file:
            self._items.tofile(self._file)
        del self._items[:]

    def close(self) -> None:
        self.flush()
        if self._file:
            self._file.close()


def read(path: Path) -> Iterator[tuple[int, int]]:
    """Yield the ids and tags in a file, in the order in which they were acknowledged.

    A partial receipt at the end, which a killed process has left, is skipped.
    """
    with path.open("rb") as file:
        while chunk := file.read(READ_BYTES):
            items = array("Q", chunk[: len(chunk) // RECEIPT_BYTES * RECEIPT_BYTES])
            yield from zip(items[::2], items[1::2], strict=True)
