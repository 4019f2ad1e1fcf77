"""Keep files readable for their owner alone, whatever the umask of the process that makes them."""

from __future__ import annotations

import contextlib
from pathlib import Path

OTHERS = 0o007
BESIDE = ("-wal", "-shm", "-journal")  # SQLite gives new ones the mode of the database


def keep_private(database: Path) -> None:
    """Make the file of a SQLite database for its owner alone, before SQLite makes the file for all.

    An earlier version made files that all may read: the mode of such a file is narrowed. The mode
    of a file that only a group may read was chosen by somebody, and stays. Errors are left for
    SQLite to report.

    Safe to repeat.
    """
    with contextlib.suppress(OSError):
        database.touch(mode=0o600)
    for path in (database, *(database.with_name(database.name + end) for end in BESIDE)):
        with contextlib.suppress(OSError):
            if path.stat().st_mode & OTHERS:
                path.chmod(0o600)
