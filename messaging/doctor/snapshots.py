"""Read the snapshots of the processes, and tell the living ones from the others."""

from __future__ import annotations

import contextlib
import time
from pathlib import Path

from messaging.conf import settings
from messaging.metrics import snapshot
from messaging.metrics.snapshot import DEAD_AFTER_S, Snapshot

Found = tuple[Path, Snapshot]


def all_found() -> list[Found]:
    """Return all snapshots of this instance, those of ended processes too."""
    folder = settings().metrics_dir
    return list(snapshot.read(Path(folder))) if folder else []


def living() -> list[Found]:
    """Return the snapshots of the processes that run."""
    return [each for each in all_found() if is_living(*each)]


def is_living(path: Path, found: Snapshot) -> bool:
    """Tell whether the process of this snapshot runs, by the age of the file."""
    with contextlib.suppress(OSError):
        return not found.is_over and time.time() - path.stat().st_mtime <= DEAD_AFTER_S
    return False
