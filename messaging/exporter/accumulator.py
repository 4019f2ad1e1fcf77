"""Keep the counts of processes that have ended in a file, so that sums never fall.

The file names the processes whose counts it has. A crash between the writing of this file and the
removal of a process's snapshot therefore counts nothing twice. A process that only stood still, and
writes again, is taken out of the file again: its own snapshot has all its counts.
"""

from __future__ import annotations

import fcntl
import logging
import os
from collections.abc import Mapping
from pathlib import Path

import msgspec

from messaging.domain.errors import MessagingError
from messaging.exporter.counts import Counts, add, counts_of, known
from messaging.metrics.families import Labels
from messaging.metrics.snapshot import Snapshot

logger = logging.getLogger(__name__)

FILE = "exporter.counts"
LOCK = "exporter.lock"
MOST_SILENT = 50  # processes that ended without a word and are kept apart, since one may come back

Rows = list[tuple[str, Labels, list[int]]]


class FolderTaken(MessagingError):
    """Another exporter gathers the counts of this folder."""


class Ended(msgspec.Struct, frozen=True):
    """Hold the counts of one process at its last snapshot.

    `is_over`: the process has said that it ends, and never writes again.
    """

    name: str  # of the file of its snapshot
    written_ms: int
    is_over: bool
    counts: Rows


class _Kept(msgspec.Struct, frozen=True):
    ended: list[Ended]
    rest: Rows  # the sum of the processes before these


_decode = msgspec.json.Decoder(_Kept).decode
_encode = msgspec.json.Encoder().encode


def _rows(counts: Counts) -> Rows:
    return [(*series, values) for series, values in counts.items()]


class Accumulator:
    """Own the file of a folder, from `open` until the end of the process."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._path = folder / FILE
        self._lock = -1
        self._ended: dict[str, Ended] = {}
        self._rest: Counts = {}

    def open(self) -> None:
        """Make the folder where it is missing, lock it, and read the file.

        Raises: FolderTaken while another exporter has the folder; OSError.
        """
        self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._lock = os.open(self._folder / LOCK, os.O_CREAT | os.O_RDWR | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            self.close()
            raise FolderTaken from error
        try:
            kept = _decode(self._path.read_bytes())
        except FileNotFoundError:
            return
        except msgspec.MsgspecError as error:
            logger.error(
                "the counts of ended processes cannot be read; counting begins anew",
                extra={"action": "exporter.counts_unreadable", "reason": str(error)},
            )
            return
        self._ended = {each.name: each for each in kept.ended}
        self._rest = known(kept.rest)

    def close(self) -> None:
        """Let another exporter have the folder. Safe to repeat."""
        if self._lock >= 0:
            os.close(self._lock)
            self._lock = -1

    def has(self, name: str, snapshot: Snapshot) -> bool:
        """Tell whether the counts of this very snapshot are in the sum already."""
        ended = self._ended.get(name)
        return ended is not None and ended.written_ms == snapshot.written_ms

    def revive(self, name: str) -> None:
        """Take a process out of the sum, as it writes again. Other names change nothing."""
        self._ended.pop(name, None)

    def absorb(self, snapshots: Mapping[str, Snapshot]) -> None:
        """Add the last snapshots of ended processes, given by the names of their files.

        Raises: OSError. Leaves: nothing added.
        """
        ended = dict(self._ended)
        for name, each in snapshots.items():
            counts = _rows(counts_of(each))
            ended[name] = Ended(name, each.written_ms, each.is_over, counts)
        rest = {series: list(values) for series, values in self._rest.items()}
        for name in self._foldable(ended):
            add(rest, known(ended.pop(name).counts))
        beside = self._path.with_suffix(".new")
        beside.write_bytes(_encode(_Kept(list(ended.values()), _rows(rest))))
        beside.replace(self._path)
        self._ended, self._rest = ended, rest

    def _foldable(self, ended: Mapping[str, Ended]) -> list[str]:
        """Return the processes whose names need not be known any more, as no file has them."""
        gone = [each for each in ended.values() if not (self._folder / each.name).exists()]
        silent = [each.name for each in gone if not each.is_over]
        return [each.name for each in gone if each.is_over] + silent[:-MOST_SILENT]

    def total(self) -> Counts:
        """Return the sum over all processes that have ended."""
        total = {series: list(values) for series, values in self._rest.items()}
        for each in self._ended.values():
            add(total, known(each.counts))
        return total
