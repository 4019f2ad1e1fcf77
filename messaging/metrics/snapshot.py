"""Take the counts of a process as one snapshot, write it to a file, and read the files of all.

A file is replaced by a rename, so that a reader finds a whole snapshot. The file names the role,
the process id, the start, and a random token: processes in containers may share the first three.
"""

from __future__ import annotations

import contextlib
import os
import socket
import time
from collections.abc import Iterator, Sequence
from math import isfinite
from pathlib import Path

import msgspec

from messaging.metrics.catalogue import FAMILIES
from messaging.metrics.families import Counter, Family, Histogram, Labels, Reading

SUFFIX = ".json"
MAX_SNAPSHOT_BYTES = 1_000_000  # a snapshot has some 30,000
DEAD_AFTER_S = 10.0  # without a new snapshot: a living process writes one each second


class Snapshot(msgspec.Struct, frozen=True, kw_only=True):
    """Hold the counts of one process.

    Times are Unix times in milliseconds; `loop_age_s` is the time since the event loop last ran.
    """

    role: str
    pid: int
    host: str = ""  # the machine's or the container's name; "": of a release that wrote none
    release: str
    started_ms: int
    written_ms: int
    loop_age_s: float
    is_over: bool  # written by a process that ends: its numbers are final
    numbers: dict[str, list[tuple[Labels, float]]]  # of counters and readings, by family
    cells: dict[str, list[tuple[Labels, list[float]]]]  # of histograms, by family


_encoder = msgspec.json.Encoder()
_decoder = msgspec.json.Decoder(Snapshot)


def take(
    *,
    role: str,
    release: str,
    started_ms: int,
    loop_age_s: float,
    is_over: bool = False,
    families: Sequence[Family] = FAMILIES,
) -> Snapshot:
    """Take the counts of this process as they are now; any thread may call this function."""
    numbers: dict[str, list[tuple[Labels, float]]] = {}
    cells: dict[str, list[tuple[Labels, list[float]]]] = {}
    for family in families:
        match family:
            case Counter():
                numbers[family.name] = list(family.values.items())
            case Reading():
                read = family.read().items()  # JSON has no word for infinity
                numbers[family.name] = [(key, each) for key, each in read if isfinite(each)]
            case Histogram():
                cells[family.name] = [(key, list(cell)) for key, cell in family.cells.items()]
    return Snapshot(
        role=role,
        pid=os.getpid(),
        host=socket.gethostname(),
        release=release,
        started_ms=started_ms,
        written_ms=round(time.time() * 1000),
        loop_age_s=loop_age_s,
        is_over=is_over,
        numbers=numbers,
        cells=cells,
    )


def write(snapshot: Snapshot, path: Path) -> None:
    """Replace the file at `path`.

    Raises: OSError. Leaves: the file as it was, or replaced.
    """
    beside = path.with_suffix(".new")
    beside.write_bytes(_encoder.encode(snapshot))
    beside.replace(path)


def read(folder: Path) -> Iterator[tuple[Path, Snapshot]]:
    """Read the snapshots in a folder, in the order of their names; without a folder, none.

    A file that cannot be read, or is no snapshot of this release, is left out.
    """
    for path in sorted(folder.glob(f"*{SUFFIX}")):
        with contextlib.suppress(OSError, msgspec.MsgspecError):
            if path.stat().st_size <= MAX_SNAPSHOT_BYTES:
                yield path, _decoder.decode(path.read_bytes())
