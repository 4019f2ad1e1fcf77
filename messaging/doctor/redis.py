"""Check Redis: a primary that keeps what it has confirmed, and lets the service do its work."""

from __future__ import annotations

import re
from collections.abc import Callable
from functools import wraps
from typing import Any
from urllib.parse import urlsplit

from redis.exceptions import NoPermissionError, RedisError

from messaging.cache import keys
from messaging.conf import settings
from messaging.doctor.checks import Look, answer_of, checks_of
from messaging.doctor.redis_commands import COMMANDS
from messaging.doctor.surroundings import Surroundings, redis_place
from messaging.doctor.verdicts import NotSeen, Verdict, fail, ok, warn
from messaging.eventlog.redis_streams.entries import KEY_PREFIX
from messaging.links import reason

AREA = "redis"
LEAST_VERSION = (6, 2)
SAFE_POLICY = re.compile(r"noeviction|volatile-\w+")
OURS = (keys.PREFIX, KEY_PREFIX, "site:")
CELERYS = re.compile(r"celery.*|_kombu\..*|unacked.*")
KEYS_LOOKED_AT = 5_000
MIB = 1024**2


def _seen(look: Callable[[Surroundings], Verdict | None]) -> Look:
    """Turn an error of Redis during a check into the reason for which nothing is seen."""

    @wraps(look)
    def looked(around: Surroundings) -> Verdict | None:
        try:
            return look(around)
        except (RedisError, OSError) as error:
            raise NotSeen(f"Redis refused to tell ({reason(error)})") from error

    return looked


def _check_version(around: Surroundings) -> Verdict:
    version = str(around.redis_info["redis_version"])
    if tuple(map(int, version.split(".")[:2])) < LEAST_VERSION:
        return fail(f"Redis is {version}; 6.2 is the oldest that works.", _upgrade())
    return ok(f"Redis is {version}.")


def _check_role(around: Surroundings) -> Verdict:
    info = around.redis_info
    if info["role"] != "master":
        primary = f"{info['master_host']}:{info['master_port']}"
        parts = urlsplit(settings().redis_url)
        account = "USER:PASSWORD@" if parts.password else ""
        return fail(
            f"Redis is a replica of {primary}, which takes no writes.",
            f"export IM_REDIS_URL={parts.scheme}://{account}{primary}{parts.path}",
        )
    return ok("Redis is a primary.")


def _check_cluster(around: Surroundings) -> Verdict:
    if around.redis_info.get("cluster_enabled"):
        return fail(
            "Redis is a node of a cluster: the scripts need all keys on one server.",
            "sed -i 's/^cluster-enabled yes/cluster-enabled no/' redis.conf  # or give the service "
            "a Redis of its own: IM_REDIS_URL",
        )
    return ok("Redis is no node of a cluster.")


def _check_file(around: Surroundings) -> Verdict:
    if not around.redis_info["aof_enabled"]:
        return fail(
            "Redis keeps no append-only file: a restart loses messages that it has confirmed.",
            cli("CONFIG SET appendonly yes", also="appendonly yes"),
        )
    return ok("Redis keeps an append-only file.")


def _check_writes(around: Surroundings) -> Verdict:
    info = around.redis_info
    writes = {
        "aof_last_write_status": ("write", "df -h  # free space; Redis then writes by itself"),
        "aof_last_bgrewrite_status": ("rewrite of the append-only file", cli("BGREWRITEAOF")),
        "rdb_last_bgsave_status": ("snapshot", cli("BGSAVE")),
    }
    for field, (name, remedy) in writes.items():
        if info.get(field, "ok") != "ok":
            return fail(f"The last {name} has failed; see the disk of Redis and its log.", remedy)
    return ok("Its last writes to the disk went well.")


def _check_memory(around: Surroundings) -> Verdict:
    """Check that Redis has a limit, and room for the messages that may be pending."""
    limit, pending = int(around.redis_info["maxmemory"]), settings().pending_bytes
    wanted = f"{2 * pending // MIB}mb"
    remedy = cli(f"CONFIG SET maxmemory {wanted}", also=f"maxmemory {wanted}")
    if not limit:
        return warn("Redis has no limit of memory: the kernel ends it when memory is out.", remedy)
    if limit <= pending:
        return warn(
            f"Redis may take {limit / MIB:,.0f} MiB, which pending messages alone may fill "
            f"(IM_PENDING_BYTES, {pending / MIB:,.0f} MiB).",
            remedy,
        )
    return ok(f"Redis may take {limit / MIB:,.0f} MiB, pending messages {pending / MIB:,.0f} MiB.")


def _check_eviction(around: Surroundings) -> Verdict:
    policy = str(around.redis_info["maxmemory_policy"])
    if not SAFE_POLICY.fullmatch(policy):
        return fail(
            f"The policy {policy} evicts messages that are not stored yet.",
            cli("CONFIG SET maxmemory-policy volatile-lru", also="maxmemory-policy volatile-lru"),
        )
    return ok(f"The policy is {policy}: keys without an expiry stay.")


def _check_replicas(around: Surroundings) -> Verdict | None:
    """Check that a primary stops taking writes when its replicas are gone.

    INFO tells the number of good replicas only where both settings are made.
    """
    info = around.redis_info
    if not info.get("connected_slaves") or info["role"] != "master":
        return None
    if "min_slaves_good_slaves" not in info:
        return warn(
            f"Redis has {info['connected_slaves']} replicas and takes writes without them: a "
            "failover loses what no replica has.",
            cli("CONFIG SET min-replicas-to-write 1", also="min-replicas-max-lag 2"),
        )
    return ok(f"Redis takes writes while one of {info['connected_slaves']} replicas follows.")


@_seen
def _check_commands(around: Surroundings) -> Verdict:
    """Queue each command in a transaction, which tells of rights, and discard it."""
    refused: list[str] = []
    connection: Any = around.redis.connection_pool.get_connection()
    try:
        for command in (("MULTI",), *COMMANDS, ("DISCARD",)):
            connection.send_command(*command)
            try:
                connection.read_response()
            except NoPermissionError:
                refused.append(str(command[0]).lower())
            except RedisError:
                if command == ("MULTI",):
                    raise
    finally:
        connection.disconnect()
        around.redis.connection_pool.release(connection)
    if refused:
        wanted = " ".join(f"+{name}" for name in refused)
        return fail(
            f"Our account may not run {', '.join(refused)}.",
            cli(f"ACL SETUSER {_account()} {wanted} ~* &*"),
        )
    return ok(f"Our account may run all {len(COMMANDS)} commands.")


@_seen
def _check_scripts(around: Surroundings) -> Verdict:
    try:
        around.redis.eval("return redis.call('INFO', 'server')", 0)
    except NoPermissionError:
        return fail(
            "Our account may not run scripts.", cli(f"ACL SETUSER {_account()} +eval +evalsha")
        )
    except RedisError as error:
        return fail(
            f"A script may not ask INFO, which every read does ({type(error).__name__}).",
            cli(f"ACL SETUSER {_account()} +info"),
        )
    return ok("A script may ask INFO.")


@_seen
def _check_keys(around: Surroundings) -> Verdict:
    """Look for keys of another program in our database, a few thousand keys at most."""
    ours = (*OURS, settings().topic)
    foreign, seen = "", 0
    for name in around.redis.scan_iter(count=500):
        seen += 1
        text = name.decode(errors="replace")
        if not text.startswith(ours) and not CELERYS.fullmatch(text):
            foreign = text
            break
        if seen >= KEYS_LOOKED_AT:
            break
    if foreign:
        number = urlsplit(settings().redis_url).path.strip("/") or "0"
        return warn(
            f"Database {number} has keys of another program, such as {foreign[:40]!r}: they take "
            "our memory, and a FLUSHDB of theirs takes our messages.",
            cli(f"-n {number} --scan") + f" | grep -vE '^({'|'.join(OURS)})'  # and move them",
        )
    return ok("No key of another program was found." if seen else "There are no keys yet.")


def cli(command: str, *, also: str = "") -> str:
    """Return the command of redis-cli, with the line of redis.conf that keeps the change."""
    parts = urlsplit(settings().redis_url)
    host = f"-h {parts.hostname} " if parts.hostname not in (None, "127.0.0.1", "localhost") else ""
    tls = " --tls" if parts.scheme == "rediss" else ""
    where = f"-s {parts.path}" if parts.scheme == "unix" else f"{host}-p {parts.port or 6379}{tls}"
    return f"redis-cli {where} {command}" + (f"  # and in redis.conf: {also}" if also else "")


def _answers() -> str:
    return f"Redis at {redis_place()} answers."


def _account() -> str:
    return urlsplit(settings().redis_url).username or "default"


def _upgrade() -> str:
    return "apt-get install redis-server  # 6.2 or newer"


CHECKS = checks_of(
    AREA,
    {
        "answers": answer_of(lambda around: around.redis, _answers),
        "version": _seen(_check_version),
        "primary": _seen(_check_role),
        "cluster": _seen(_check_cluster),
        "append-only file": _seen(_check_file),
        "writes": _seen(_check_writes),
        "memory": _seen(_check_memory),
        "eviction": _seen(_check_eviction),
        "replicas": _seen(_check_replicas),
        "commands": _check_commands,
        "scripts": _check_scripts,
        "keys": _check_keys,
    },
)
