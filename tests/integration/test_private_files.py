"""Check that the owner alone can read messages on the disk, also after a `manage.py` by hand."""

from __future__ import annotations

import os
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from imsite.private_files import keep_private
from tests.support.real_services import ROOT

WRITE = """
from django.db import connection
connection.cursor().execute("CREATE TABLE IF NOT EXISTS t (a INTEGER)")
from django.conf import settings
print(*(f"{path.name}={path.stat().st_mode & 0o777:o}" for path in settings.VAR_DIR.iterdir()))
"""


def modes_after_a_write(var_dir: Path) -> dict[str, str]:
    """Return the modes of the files in `VAR_DIR` while a command run by hand holds the database."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("IM_")}
    done = subprocess.run(
        [sys.executable, ROOT / "manage.py", "shell", "--no-imports", "--command", WRITE],
        env=kept | {"VAR_DIR": str(var_dir), "LOG_DIR": str(var_dir / "logs")},
        umask=0o022,
        capture_output=True,
        check=True,
        text=True,
        timeout=60,
    )
    return dict(each.split("=") for each in done.stdout.split())


def test_a_new_database_and_what_is_beside_it_are_private(tmp_path: Path) -> None:
    modes = modes_after_a_write(tmp_path)
    names = ("im.sqlite3", "im.sqlite3-wal", "im.sqlite3-shm", "im_secret_key", "im_jwt_key")
    assert {name: modes[name] for name in names} == dict.fromkeys(names, "600")


@pytest.mark.parametrize(("before", "after"), [(0o644, 0o600), (0o640, 0o640), (0o600, 0o600)])
def test_one_that_all_may_read_is_taken_back(tmp_path: Path, before: int, after: int) -> None:
    database, log = tmp_path / "im.sqlite3", tmp_path / "im.sqlite3-wal"
    for path in (database, log):
        path.touch()
        path.chmod(before)
    keep_private(database)
    assert [stat.S_IMODE(path.stat().st_mode) for path in (database, log)] == [after, after]


def test_a_place_that_is_not_there_is_left_to_sqlite(tmp_path: Path) -> None:
    keep_private(tmp_path / "nowhere" / "im.sqlite3")
    assert list(tmp_path.iterdir()) == []
