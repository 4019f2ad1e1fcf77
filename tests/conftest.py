"""Open the Redis that every kind of test may use."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from django.conf import settings as django_settings
from hypothesis import HealthCheck, settings

from tests.support.real_services import empty_server, running_redis

# A fresh checkout builds Hypothesis' table of Unicode within its first example, and a busy machine
# takes its time: neither is a failure of what is tested.
settings.register_profile("patient", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("patient")


@pytest.fixture(scope="session")
def django_db_modify_db_settings(django_db_modify_db_settings_parallel_suffix: None) -> None:
    """Let SQLite leave the writing to the operating system: no test cuts the power.

    Each commit would wait for the disk, and a flush commits many times.
    """
    options = django_settings.DATABASES["default"]["OPTIONS"]
    command = options["init_command"].replace("synchronous=FULL", "synchronous=OFF")
    options["init_command"] = command


@pytest.fixture(scope="session")
def redis_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Return the URL of a real redis-server that belongs to this test run.

    The server looks 500 times a second for reads that have waited long enough, so an empty poll
    ends in time.
    """
    with running_redis(tmp_path_factory.mktemp("redis"), "--hz", "500") as url:
        yield url


@pytest.fixture
def redis_url(redis_server: str) -> str:
    """Return the URL of the same server, emptied just before the test."""
    empty_server(redis_server)
    return redis_server
