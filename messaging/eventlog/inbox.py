"""Keep a reader's fetched records, and decide which positions the reader may commit.

Pure. Each reader, of Kafka and of Redis Streams, keeps one inbox. Fetching and handing out are
separate, so that no record is lost when a poll is cancelled, or when a record arrives while the
caller holds a batch. A partition that moves to another reader is forgotten: its waiting records are
dropped, and its handed-out records cannot be committed any more.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Generic, TypeVar

from messaging.ports.log import POLL_BYTES, Record

Offset = TypeVar("Offset", int, tuple[int, int])


@dataclass(slots=True)
class Inbox(Generic[Offset]):
    """Queue fetched records, and keep by partition the offsets handed out and committed.

    `read_offset`: turns the offset of a position into the broker's own kind of offset, which can be
    compared.
    """

    read_offset: Callable[[str], Offset]
    _waiting: deque[Record] = field(default_factory=deque)
    _waiting_bytes: int = 0
    _handed_out: dict[int, tuple[Record, Record]] = field(default_factory=dict)  # first, last
    _committed: dict[int, Offset] = field(default_factory=dict)

    def __len__(self) -> int:
        return len(self._waiting)

    def has_room(self, max_records: int) -> bool:
        """Tell whether fewer records, and fewer bytes, wait than one `take` may hand out."""
        return len(self._waiting) < max_records and self._waiting_bytes < POLL_BYTES

    def put(self, records: Iterable[Record]) -> None:
        for record in records:
            self._waiting.append(record)
            self._waiting_bytes += _size_bytes(record)

    def take(self, max_records: int) -> list[Record]:
        """Hand out the records that have waited longest, within the bounds of `LogReader.poll`."""
        taken: list[Record] = []
        left_bytes = POLL_BYTES
        while self._waiting and len(taken) < max_records:
            record = self._waiting[0]
            size_bytes = _size_bytes(record)
            if taken and size_bytes > left_bytes:
                break
            self._waiting.popleft()
            left_bytes -= size_bytes
            partition = record.position.partition
            first, _ = self._handed_out.get(partition, (record, record))
            self._handed_out[partition] = (first, record)
            taken.append(record)
        self._waiting_bytes -= POLL_BYTES - left_bytes
        return taken

    def forget(self, partitions: Iterable[int]) -> None:
        """Drop the records and offsets of these partitions.

        The partitions have moved to another reader, or are read anew from the committed positions.
        """
        gone = frozenset(partitions)
        kept = [record for record in self._waiting if record.position.partition not in gone]
        self._waiting.clear()
        self._waiting_bytes = 0
        self.put(kept)
        for partition in gone:
            self._handed_out.pop(partition, None)
            self._committed.pop(partition, None)

    def committable(self, last: Mapping[int, Record]) -> tuple[dict[int, Offset], list[int]]:
        """Return the offsets that need a commit, and the partitions that are refused.

        A partition is refused when the position has not been handed out since the reader got the
        partition. A position before the first one handed out, or not after the committed one, needs
        no commit and is not refused.
        """
        due: dict[int, Offset] = {}
        refused = []
        for partition, record in last.items():
            offset, handed_out = self._offset_of(record), self._handed_out.get(partition)
            committed = self._committed.get(partition)
            if handed_out is None or self._offset_of(handed_out[1]) < offset:
                refused.append(partition)
            elif self._offset_of(handed_out[0]) <= offset and (
                committed is None or committed < offset
            ):
                due[partition] = offset
        return due, refused

    def note_committed(self, offsets: Mapping[int, Offset]) -> None:
        self._committed.update(offsets)

    def _offset_of(self, record: Record) -> Offset:
        return self.read_offset(record.position.offset)


def _size_bytes(record: Record) -> int:
    return len(record.value or b"")
