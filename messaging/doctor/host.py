"""Check this machine: open files, disks, memory and clocks."""

from __future__ import annotations

import contextlib
import resource
import shutil
from collections.abc import Callable
from pathlib import Path
from time import time as now_s

import psutil
from django.conf import settings as django_settings
from django.db import Error as DatabaseError
from redis.exceptions import RedisError

from messaging.conf import settings
from messaging.doctor.checks import checks_of
from messaging.doctor.redis import cli
from messaging.doctor.snapshots import living
from messaging.doctor.surroundings import Surroundings
from messaging.doctor.verdicts import NotSeen, Verdict, fail, ok, warn
from messaging.links import is_local, split_address

AREA = "host"
LEAST_OPEN_FILES = 4_096
WARN_FREE, FAIL_FREE = 0.15, 0.05  # of a disk
MOST_MEMORY = 0.75  # of this machine's, for Redis: a rewrite of its file copies what changes
WARN_OFFSET_S, FAIL_OFFSET_S = 0.25, 1.0
MEMORY_LIMIT = Path("/sys/fs/cgroup/memory.max")  # of this container
GIB = 1024**3


def _check_open_files(_: object) -> Verdict:
    """Check the limits of the running processes; without any, the most that this shell may set."""
    limits = (_open_files_of(snapshot.pid) for _, snapshot in living())
    soft = [each for each in limits if each is not None]
    least = min(soft, default=resource.getrlimit(resource.RLIMIT_NOFILE)[1])
    whose = "A running process" if soft else "A process of this shell"
    if least != resource.RLIM_INFINITY and least < LEAST_OPEN_FILES:
        return warn(
            f"{whose} may open {least:,} files, so fewer connections than that.",
            f"ulimit -n {4 * LEAST_OPEN_FILES}  # then start the service from this shell; "
            f"for systemd: LimitNOFILE={4 * LEAST_OPEN_FILES}",
        )
    told = "any number of" if least == resource.RLIM_INFINITY else f"{least:,}"
    return ok(f"{whose} may open {told} files.")


def _open_files_of(pid: int) -> int | None:
    """Return the limit of a process; None where it is another account's or another container's."""
    try:
        return resource.prlimit(pid, resource.RLIMIT_NOFILE)[0]
    except (OSError, ValueError):
        return None


def _check_disks(_: object) -> Verdict:
    """Judge the fullest disk that holds data of this instance."""
    folders = {django_settings.VAR_DIR, django_settings.LOG_DIR}
    if settings().metrics_dir:
        folders.add(Path(settings().metrics_dir))
    usages = {each: shutil.disk_usage(each) for each in folders if each.is_dir()}
    if not usages:
        raise NotSeen("no data folder is on this machine")
    fullest = min(usages, key=lambda each: usages[each].free / usages[each].total)
    usage = usages[fullest]
    share = usage.free / usage.total
    told = f"The disk of {fullest} has {share:.0%} free, {usage.free / GIB:.1f} GiB."
    remedy = f"du -xh --max-depth=2 {fullest} | sort -h | tail"
    if share < FAIL_FREE:
        return fail(told, remedy)
    return warn(told, remedy) if share < WARN_FREE else ok(told)


def _check_memory(around: Surroundings) -> Verdict | None:
    """Compare the limit of a Redis on this machine with the machine's memory."""
    if not is_local(split_address("IM_REDIS_URL", settings().redis_url).hostname):
        return None
    try:
        limit = int(around.redis_info["maxmemory"])
    except RedisError as error:
        raise NotSeen("Redis does not tell its memory") from error
    if not limit:
        return None  # the check of Redis tells of that
    total = _memory_bytes()
    if limit > MOST_MEMORY * total:
        most = round(MOST_MEMORY * total / 1024**2)
        return warn(
            f"Redis may take {limit / GIB:.1f} GiB of this machine's {total / GIB:.1f} GiB: the "
            "kernel would end it.",
            cli(f"CONFIG SET maxmemory {most}mb"),
        )
    return ok(f"Redis may take {limit / GIB:.1f} GiB of {total / GIB:.1f} GiB.")


def _memory_bytes() -> int:
    """Return the memory of this machine, or of this container where that is less."""
    total = psutil.virtual_memory().total
    with contextlib.suppress(OSError, ValueError):
        total = min(total, int(MEMORY_LIMIT.read_text()))
    return total


def _check_redis_clock(around: Surroundings) -> Verdict:
    def ask() -> float:
        seconds, micros = around.redis.time()
        return int(seconds) + int(micros) / 1e6

    try:
        return _judge_clock("Redis", ask)
    except RedisError as error:
        raise NotSeen("Redis does not tell its time") from error


def _check_database_clock(around: Surroundings) -> Verdict | None:
    if around.database.vendor != "mysql":
        return None

    def ask() -> float:
        with around.database.cursor() as cursor:
            cursor.execute("SELECT UNIX_TIMESTAMP(NOW(6))")
            return float(cursor.fetchone()[0])

    try:
        return _judge_clock("the database", ask)
    except DatabaseError as error:
        raise NotSeen("the database does not tell its time") from error


def _judge_clock(name: str, ask: Callable[[], float]) -> Verdict:
    """Compare the clock of a backend with this machine's.

    Half the time of the trip may be the answer's way, and is no offset.
    """
    ask()  # the first trip may open a connection
    before_s = now_s()
    theirs_s = ask()
    after_s = now_s()
    offset_s = max(before_s - theirs_s, theirs_s - after_s, 0.0)
    told = f"The clock of {name} is {offset_s * 1000:,.0f} ms off this machine's."
    remedy = "timedatectl set-ntp true  # on both machines; `chronyc tracking` tells the offset"
    if offset_s > FAIL_OFFSET_S:
        return fail(told, remedy)
    return warn(told, remedy) if offset_s > WARN_OFFSET_S else ok(told)


CHECKS = checks_of(
    AREA,
    {
        "open files": _check_open_files,
        "disks": _check_disks,
        "memory": _check_memory,
        "clock of Redis": _check_redis_clock,
        "clock of the database": _check_database_clock,
    },
)
