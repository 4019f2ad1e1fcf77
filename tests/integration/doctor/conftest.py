"""Set up healthy instances of the embedded stack for the doctor."""

from __future__ import annotations

import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from pytest_django import DjangoDbBlocker
from pytest_django import Settings as DjangoSettings

from tests.integration.doctor.instance import Instance
from tests.support.processes import clean_environment
from tests.support.real_services import ROOT, running_redis


@pytest.fixture(scope="session")
def tables(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the file of a SQLite database with all tables, made once."""
    var_dir = tmp_path_factory.mktemp("tables")
    subprocess.run(
        [sys.executable, str(ROOT / "manage.py"), "migrate", "--verbosity", "0"],
        env=clean_environment(VAR_DIR=str(var_dir), LOG_DIR=str(var_dir / "logs")),
        check=True,
        timeout=100,
    )
    return var_dir / "im.sqlite3"


@pytest.fixture
def var_dir(tables: Path, tmp_path: Path) -> Path:
    path = tmp_path / "var"
    path.mkdir()
    shutil.copy(tables, path)
    return path


@pytest.fixture
def unblocked(django_db_blocker: DjangoDbBlocker) -> Iterator[None]:
    """Let the doctor open the databases of its instances, which are none of Django's tests."""
    with django_db_blocker.unblock():
        yield


@pytest.fixture(scope="session")
def redis_of_instances(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with running_redis(tmp_path_factory.mktemp("redis"), "--maxmemory", "1gb") as url:
        yield url


@pytest.fixture
def instance(
    redis_of_instances: str,
    var_dir: Path,
    settings: DjangoSettings,
    monkeypatch: pytest.MonkeyPatch,
    unblocked: None,
) -> Instance:
    """Return a healthy instance on SQLite and Redis."""
    return Instance(settings, monkeypatch, var_dir, IM_REDIS_URL=redis_of_instances)
