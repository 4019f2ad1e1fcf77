"""Check that a Redis with accounts keeps its writes, however it ends.

Redis reads its append-only file as the user `default`, and leaves out each transaction and each
script in the file that `default` may not run.
"""

from __future__ import annotations

import shlex
import subprocess
from pathlib import Path

import pytest
import redis
import yaml

from tests.support.real_services import ROOT, running_redis

PASSWORD = "p4ssw0rd"


def accounts_of_scripts(directory: Path) -> list[str]:
    file = shlex.quote(str(directory / "users.acl"))
    write = f"source scripts/environment.sh && write_redis_users {file} {PASSWORD}"
    subprocess.run(["bash", "-c", write], cwd=ROOT, check=True)
    return ["--aclfile", str(directory / "users.acl")]


def accounts_of_compose() -> list[str]:
    services = yaml.safe_load((ROOT / "compose" / "docker-compose.yml").read_text())["services"]
    command = services["redis"]["command"]
    words = command[command.index("--user") :]
    return [f">{PASSWORD}" if word.startswith(">") else word for word in words]


@pytest.fixture(params=["scripts", "compose"])
def accounts(request: pytest.FixtureRequest, tmp_path: Path) -> list[str]:
    """Return the options that define the accounts of a redis-server."""
    return accounts_of_scripts(tmp_path) if request.param == "scripts" else accounts_of_compose()


def test_what_was_written_at_once_is_there_after_a_restart(
    accounts: list[str], tmp_path: Path
) -> None:
    for is_first in (True, False):
        with (
            running_redis(tmp_path, *accounts, account=f"im:{PASSWORD}") as url,
            redis.Redis.from_url(url, decode_responses=True) as client,
        ):
            if is_first:
                client.pipeline(transaction=True).set("a", 1).set("b", 2).execute()
                script = "redis.call('SET', KEYS[1], 3) redis.call('SET', KEYS[2], 4)"
                client.eval(script, 2, "c", "d")
            assert client.mget("a", "b", "c", "d") == ["1", "2", "3", "4"]


def test_nobody_logs_in_without_the_password(accounts: list[str], tmp_path: Path) -> None:
    with running_redis(tmp_path, *accounts, account=f"im:{PASSWORD}") as url:
        address = url.partition("@")[2]
        for stranger in ("", ":@", "default:@", f"default:{PASSWORD}@", "im:wrong@"):
            with (
                redis.Redis.from_url(f"redis://{stranger}{address}") as client,
                pytest.raises(redis.AuthenticationError),
            ):
                client.get("a")
