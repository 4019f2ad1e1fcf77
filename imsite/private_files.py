"""Files that nobody but their owner may read, whatever the umask of who makes them."""

from __future__ import annotations

import contextlib
from pathlib import Path

OTHERS = 0o007
BESIDE = ("-wal", "-shm", "-journal")  # SQLite gives new ones the mode of the database


def keep_private(database: Path) -> None:
    """Make the file of a SQLite database for its owner alone, before SQLite makes it for all.

    One that all may read was made by an earlier version: it is taken back. The mode of one that a
    group alone may read is somebody's will, and stays. What cannot be done is left to SQLite.
    """
    with contextlib.suppress(OSError):
        database.touch(mode=0o600)
    for path in (database, *(database.with_name(database.name + end) for end in BESIDE)):
        with contextlib.suppress(OSError):
            if path.stat().st_mode & OTHERS:
                path.chmod(0o600)
