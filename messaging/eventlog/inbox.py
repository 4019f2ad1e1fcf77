"""What a reader has fetched but not handed out, and what it may commit. Pure.

Both readers keep one. Fetching and handing out are apart, so that a cancelled poll or a record that
slips through while a batch is held loses nothing. A partition that moves away is forgotten: its
waiting records are dropped and its handed-out ones cannot be committed any more.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Generic, TypeVar

from messaging.ports.log import POLL_BYTES, Record

Offset = TypeVar("Offset", int, tuple[int, int])


@dataclass(slots=True)
class Inbox(Generic[Offset]):
    """`Offset` is the broker's own, of a kind that compares."""

    _waiting: deque[tuple[Offset, Record]] = field(default_factory=deque)
    _waiting_bytes: int = 0
    _handed_out: dict[int, tuple[Offset, Offset]] = field(default_factory=dict)  # first, last
    _committed: dict[int, Offset] = field(default_factory=dict)

    def __len__(self) -> int:
        return len(self._waiting)

    def has_room(self, max_records: int) -> bool:
        """Whether what waits is less than one `take` may hand out."""
        return len(self._waiting) < max_records and self._waiting_bytes < POLL_BYTES

    def put(self, records: Iterable[tuple[Offset, Record]]) -> None:
        for item in records:
            self._waiting.append(item)
            self._waiting_bytes += _size_bytes(item[1])

    def take(self, max_records: int) -> list[Record]:
        """Hand out the records that have waited longest, in what `LogReader.poll` may return."""
        taken: list[Record] = []
        left_bytes = POLL_BYTES
        while self._waiting and len(taken) < max_records:
            offset, record = self._waiting[0]
            size_bytes = _size_bytes(record)
            if taken and size_bytes > left_bytes:
                break
            self._waiting.popleft()
            left_bytes -= size_bytes
            partition = record.position.partition
            first, _ = self._handed_out.get(partition, (offset, offset))
            self._handed_out[partition] = (first, offset)
            taken.append(record)
        self._waiting_bytes -= POLL_BYTES - left_bytes
        return taken

    def forget(self, partitions: Iterable[int]) -> None:
        """These partitions moved away, or are read anew from what is committed."""
        gone = frozenset(partitions)
        kept = [item for item in self._waiting if _partition(item) not in gone]
        self._waiting.clear()
        self._waiting_bytes = 0
        self.put(kept)
        for partition in gone:
            self._handed_out.pop(partition, None)
            self._committed.pop(partition, None)

    def committable(self, last: Mapping[int, Offset]) -> tuple[dict[int, Offset], list[int]]:
        """What of these positions is to be committed, and the partitions that are not ours to.

        A position before what was handed out first, or at what is committed already, is neither:
        there is nothing left to do for it.
        """
        due: dict[int, Offset] = {}
        refused = []
        for partition, offset in last.items():
            first, newest = self._handed_out.get(partition, (None, None))
            if first is None or newest is None or newest < offset:
                refused.append(partition)
            elif first <= offset and not self._is_committed(partition, offset):
                due[partition] = offset
        return due, refused

    def note_committed(self, positions: Mapping[int, Offset]) -> None:
        self._committed.update(positions)

    def _is_committed(self, partition: int, offset: Offset) -> bool:
        committed = self._committed.get(partition)
        return committed is not None and offset <= committed


def _partition(item: tuple[Offset, Record]) -> int:
    return item[1].position.partition


def _size_bytes(record: Record) -> int:
    return len(record.value or b"")
