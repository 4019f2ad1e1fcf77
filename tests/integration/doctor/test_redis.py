"""Break Redis in each way that its checks name, on servers of its own."""

from __future__ import annotations

import contextlib
import re
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest
import redis

from messaging.cache import lua
from messaging.doctor.redis_commands import COMMANDS
from messaging.doctor.verdicts import State
from messaging.eventlog.redis_streams import entries
from tests.integration.doctor.breaking import Fault, names, prove
from tests.integration.doctor.instance import Instance
from tests.support.processes import wait_until
from tests.support.proxy import Mode, Proxy
from tests.support.real_services import ROOT, free_port, running_redis

FAIL, WARN = State.FAIL, State.WARN
ANSWERS = ("redis", "answers")
PASSWORD = "p4ssw0rd"


@pytest.fixture
def server(tmp_path: Path) -> Iterator[redis.Redis]:
    """Yield an administrator's client of a server with an account for the instance."""
    folder = tmp_path / "redis"
    folder.mkdir()
    with (
        running_redis(folder, "--maxmemory", "1gb") as url,
        redis.Redis.from_url(url, decode_responses=True) as client,
    ):
        client.execute_command(
            "ACL", "SETUSER", "im", "on", f">{PASSWORD}", "~*", "&*", "+@all", "-@admin"
        )
        yield client
        # A Redis that writes its first append-only file does not end before the file is there.
        wait_until(lambda: not is_rewriting(client), limit_s=60, what="the end of a rewrite")


def is_rewriting(client: redis.Redis) -> bool:
    info = client.info("persistence")
    return bool(info["aof_rewrite_in_progress"] or info["aof_rewrite_scheduled"])


def port_of(client: redis.Redis) -> int:
    return int(client.connection_pool.connection_kwargs["port"])


@pytest.fixture
def on_server(instance: Instance, server: redis.Redis) -> Instance:
    """Return an instance on the server, whose account is not an administrator's."""
    instance.set(IM_REDIS_URL=f"redis://im:{PASSWORD}@127.0.0.1:{port_of(server)}/0")
    return instance


def command(*words: str) -> Callable[[redis.Redis], object]:
    return lambda client: client.execute_command(*words)


def config(check: str, state: State, name: str, value: str) -> tuple[Fault, object]:
    fault = Fault(
        name=f"{name} {value}",
        at=("redis", check),
        state=state,
        breaking=lambda _: None,
        unseen=value == "0",  # without a limit there is nothing to compare with this machine
    )
    return fault, command("CONFIG", "SET", name, value)


def rights(check: str, *changes: str) -> tuple[Fault, object]:
    fault = Fault(
        name=" ".join(changes),
        at=("redis", check),
        state=FAIL,
        breaking=lambda _: None,
        unseen="resetkeys" in changes,  # the keys of pending messages, too
    )
    return fault, command("ACL", "SETUSER", "im", *changes)


FAULTS = (
    config("append-only file", FAIL, "appendonly", "no"),
    config("memory", WARN, "maxmemory", "0"),
    config("memory", WARN, "maxmemory", "300mb"),
    config("eviction", FAIL, "maxmemory-policy", "allkeys-lru"),
    config("eviction", FAIL, "maxmemory-policy", "allkeys-random"),
    rights("commands", "-zadd"),
    rights("commands", "-xread", "-publish", "-hincrby"),
    rights("commands", "resetkeys", "~other:*"),
)
IDS = names(fault for fault, _ in FAULTS)


@pytest.mark.parametrize(("fault", "change"), FAULTS, ids=IDS)
def test_a_setting_of_redis_is_found_and_mended(
    on_server: Instance,
    server: redis.Redis,
    fault: Fault,
    change: Callable[[redis.Redis], object],
) -> None:
    prove(on_server, with_breaking(fault, lambda: change(server)))


def with_breaking(fault: Fault, change: Callable[[], object]) -> Fault:
    def breaking(_: Instance) -> None:
        change()

    return replace(fault, breaking=breaking)


def test_a_script_that_may_not_ask_info_is_found_and_mended(
    on_server: Instance, server: redis.Redis
) -> None:
    """All that is asked of INFO is not seen then."""
    before = on_server.found()
    server.execute_command("ACL", "SETUSER", "im", "-info")
    report = on_server.look()
    bad = {(each.area, each.check): each for each in report.findings if each.remedy}
    assert bad.keys() == {("redis", "commands"), ("redis", "scripts")}
    assert on_server.hidden(report) == {"redis", "host"}
    on_server.carry_out(bad["redis", "scripts"].remedy)
    assert on_server.found().keys() == before.keys()


def test_a_rewrite_that_fails_is_found_and_mended(
    on_server: Instance, server: redis.Redis, tmp_path: Path
) -> None:
    """The server's folder is taken away, as a disk that is gone."""
    folder, away = tmp_path / "redis", tmp_path / "away"

    def rewritten() -> str:
        server.execute_command("BGREWRITEAOF")
        wait_until(lambda: not is_rewriting(server), limit_s=60, what="a rewrite")
        return str(server.info("persistence")["aof_last_bgrewrite_status"])

    at = ("redis", "writes")
    assert on_server.found()[at].state is State.OK
    server.config_set("dir", str(make(away)))
    away.rmdir()
    assert rewritten() == "err"
    found = on_server.found()
    assert found[at].state is FAIL
    assert [place for place in found if found[place].remedy] == [at]
    server.config_set("dir", str(folder))
    on_server.carry_out(found[at].remedy)
    wait_until(lambda: on_server.found()[at].state is State.OK, limit_s=20, what="the rewrite")


def make(folder: Path) -> Path:
    folder.mkdir()
    return folder


def await_replica(primary: redis.Redis) -> None:
    """Wait until the one replica follows: while a replica loads the data, it answers nothing."""

    def follows() -> bool:
        replication = primary.info("replication")
        return replication["connected_slaves"] == 1 and replication["slave0"]["state"] == "online"

    wait_until(follows, limit_s=60, what="a replica")


def test_writes_without_a_replica_are_found_and_mended(
    on_server: Instance, server: redis.Redis, tmp_path: Path
) -> None:
    replicaof = ("--replicaof", "127.0.0.1", str(port_of(server)))

    @contextlib.contextmanager
    def follow(_: Instance) -> Iterator[None]:
        with running_redis(make(tmp_path / "replica"), *replicaof):
            await_replica(server)
            yield

    at = ("redis", "replicas")
    with follow(on_server):
        found = on_server.found()
        assert [place for place in found if found[place].remedy] == [at]
        assert found[at].state is WARN
        on_server.carry_out(found[at].remedy)
        assert on_server.found()[at].state is State.OK
    assert at not in on_server.found(), "without a replica there is nothing to check"


def test_a_replica_is_found_and_its_primary_is_named(
    on_server: Instance, server: redis.Redis, tmp_path: Path
) -> None:
    server.config_set("min-replicas-to-write", "1")
    replicaof = ("--replicaof", "127.0.0.1", str(port_of(server)), "--maxmemory", "1gb")
    with running_redis(make(tmp_path / "replica"), *replicaof) as url:
        await_replica(server)
        fault = Fault(
            name="a replica",
            at=("redis", "primary"),
            state=FAIL,
            breaking=lambda instance: instance.set(IM_REDIS_URL=url),
            unseen=True,  # of replicas only a primary tells
        )
        prove(on_server, fault)


def test_a_node_of_a_cluster_is_found(instance: Instance, tmp_path: Path) -> None:
    folder = make(tmp_path / "node")
    with running_redis(folder, "--cluster-enabled", "yes", "--maxmemory", "1gb") as url:
        fault = Fault(
            name="a cluster",
            at=("redis", "cluster"),
            state=FAIL,
            breaking=lambda instance: instance.set(IM_REDIS_URL=url),
            mends=False,
            unseen=True,
        )
        prove(instance, fault)


def test_keys_of_another_program_are_found(on_server: Instance, server: redis.Redis) -> None:
    """Keys of the service, of Django's cache and of Celery are no other program's."""
    for name in ("msg:detail:1", "im:log:im-message-private:0", "site:1:x", "celery", "unacked"):
        server.set(name, "")
    at = ("redis", "keys")

    @contextlib.contextmanager
    def plant(_: Instance) -> Iterator[None]:
        server.set("shop:basket:7", "")
        yield
        server.delete("shop:basket:7")

    prove(on_server, Fault(name="keys", at=at, state=WARN, breaking=plant, mends=False))


@pytest.mark.parametrize("password", ["wrong", PASSWORD])
def test_a_redis_that_does_not_let_us_in_is_found(
    on_server: Instance, server: redis.Redis, password: str
) -> None:
    port = port_of(server) if password == "wrong" else free_port()
    on_server.set(IM_REDIS_URL=f"redis://im:{password}@127.0.0.1:{port}/0")
    report = on_server.look()
    (bad,) = [each for each in report.findings if each.remedy]
    assert (bad.area, bad.check) == ANSWERS and bad.state is FAIL
    assert password not in f"{bad.found}{bad.remedy}"
    assert "commands" in [each.check for each in report.left_out]


def test_a_redis_that_says_nothing_is_given_up(on_server: Instance, server: redis.Redis) -> None:
    proxy = Proxy(f"redis://127.0.0.1:{port_of(server)}/0")
    try:
        on_server.set(IM_REDIS_URL=f"redis://im:{PASSWORD}@127.0.0.1:{proxy.port}/0")
        assert on_server.found()[ANSWERS].state is State.OK
        on_server.hurries()
        proxy.turn(Mode.BLACK_HOLE)
        report = on_server.look()
        assert [each.check for each in report.findings if each.remedy] == ["answers"]
    finally:
        proxy.close()


def test_a_limit_beyond_this_machine_is_found_and_mended(
    on_server: Instance, server: redis.Redis
) -> None:
    def raise_limit(_: Instance) -> None:
        server.config_set("maxmemory", "4000gb")

    at = ("host", "memory")
    prove(on_server, Fault(name="memory", at=at, state=WARN, breaking=raise_limit))


def test_every_command_of_the_scripts_and_adapters_is_tried() -> None:
    sources = [*lua.DIRECTORY.rglob("*.lua"), *entries._SCRIPTS.glob("*.lua")]
    called = {
        name
        for path in sources
        for name in re.findall(r"(?:redis\.call\(|command = \{)'([A-Z]+)'", path.read_text())
    }
    for path in (ROOT / "messaging" / "cache").glob("*.py"):
        called |= set(re.findall(r"(?:_command|\.call)\(\s*\"([A-Z]+)\"", path.read_text()))
    for path in (ROOT / "messaging" / "eventlog" / "redis_streams").glob("*.py"):
        methods = re.findall(r"client\.((?:x|h|set|get|z)\w*)\(", path.read_text())
        called |= {name.upper() for name in methods}
    assert len(called) > 50 and "XREAD" in called
    assert called <= {str(each[0]) for each in COMMANDS}


def test_trying_the_commands_changes_nothing(on_server: Instance, server: redis.Redis) -> None:
    server.set("msg:doctor", "as it was")
    assert on_server.found()["redis", "commands"].state is State.OK
    assert server.get("msg:doctor") == "as it was"
    assert server.keys() == ["msg:doctor"]
