"""Define the faults in which Redis is away, slow, empty, full or read-only."""

from __future__ import annotations

import os
import shutil
import time
from random import Random

from tests.faults.rig import Rig
from tests.faults.rows.fault import LOG, Fault, away_at_start, cut_off, frozen, killed
from tests.support.proxy import Mode

LONGEST_UNWRITTEN_S = 2.0  # then Redis stops answering
FILLED_BYTES = 200_000
BALLAST_KEY, BALLAST_TRIPS = "ballast", 200
BALLAST = "for i = 1, 10000 do redis.call('RPUSH', KEYS[1], i) end"  # 2 million commands in all
MAX_BYTES = 1024**3  # as compose/redis/redis.conf has it


def wipe(rig: Rig, hold_s: float, random: Random) -> None:
    deadline_s = time.monotonic() + hold_s
    with rig.servers.redis() as redis:
        while time.monotonic() < deadline_s:
            redis.flushall()
            time.sleep(random.uniform(0.2, 1.5))


def lose(rig: Rig, hold_s: float, random: Random) -> None:
    rig.servers.kill("redis")
    shutil.rmtree(rig.servers.home / "redis" / "data")
    time.sleep(hold_s)


def rewind(rig: Rig, hold_s: float, random: Random) -> None:
    """Lose the last answered writes, as a busy disk does: Redis had not yet written its file."""
    (file,) = (rig.servers.home / "redis" / "data").glob("**/appendonly.aof*.incr.aof")
    time.sleep(hold_s / 2)
    written = file.stat().st_size
    time.sleep(random.uniform(0.5, LONGEST_UNWRITTEN_S))
    rig.servers.kill("redis")
    os.truncate(file, written)
    time.sleep(hold_s / 2)


def evict(rig: Rig, hold_s: float, random: Random) -> None:
    """Delete keys as `volatile-lru` may, without waiting until the memory is full."""
    deadline_s = time.monotonic() + hold_s
    with rig.servers.redis() as redis:
        while time.monotonic() < deadline_s:
            for _ in range(20):
                key = redis.randomkey()
                if key is not None and redis.ttl(key) > 0:
                    redis.delete(key)
            time.sleep(0.02)


def fill(rig: Rig, hold_s: float, random: Random) -> None:
    with rig.servers.redis() as redis:
        try:
            redis.config_set("maxmemory", redis.info("memory")["used_memory"] - FILLED_BYTES)
            time.sleep(hold_s)
        finally:
            redis.config_set("maxmemory", MAX_BYTES)


def load_slowly(rig: Rig, hold_s: float, random: Random) -> None:
    """Kill Redis with so much in its AOF that the restarted Redis answers LOADING for seconds."""
    with rig.servers.redis() as redis:
        for _ in range(BALLAST_TRIPS):
            redis.eval(BALLAST, 1, BALLAST_KEY)
    rig.servers.kill("redis")
    rig.servers.start("redis")
    with rig.servers.redis() as redis:
        redis.delete(BALLAST_KEY)
        redis.bgrewriteaof()
    time.sleep(hold_s / 2)


def demote(rig: Rig, hold_s: float, random: Random) -> None:
    """Make Redis a replica of no reachable primary: Redis answers reads and refuses writes."""
    with rig.servers.redis() as redis:
        try:
            redis.replicaof("127.0.0.1", "1")
            time.sleep(hold_s)
        finally:
            redis.replicaof("NO", "ONE")


FAULTS = (
    Fault(
        name="redis-killed",
        about="Redis: SIGKILL; it comes back from its AOF",
        strike=killed("redis"),
        accepts=LOG,
        forgets=True,
    ),
    Fault(
        name="redis-frozen",
        about="Redis: SIGSTOP; it holds its connections",
        strike=frozen("redis"),
        accepts=LOG,
        forgets=True,
    ),
    Fault(
        name="redis-black-hole",
        about="Redis: nothing gets there or back until the heal, and then all of it",
        strike=cut_off("redis"),
        accepts=LOG,
        forgets=True,
    ),
    Fault(
        name="redis-mute",
        about="Redis: calls arrive, answers do not",
        strike=cut_off("redis", mode=Mode.MUTE),
        accepts=LOG,
        forgets=True,
    ),
    Fault(
        name="redis-reset",
        about="Redis: every connection is reset",
        strike=cut_off("redis", mode=Mode.RESET),
        accepts=LOG,
        forgets=True,
    ),
    Fault(
        name="redis-cut",
        about="Redis: connections break in the middle of an answer",
        strike=cut_off("redis", mode=Mode.CUT, amount=5_000),
        forgets=True,
    ),
    Fault(
        name="redis-slow",
        about="Redis: 100 ms later in each direction",
        strike=cut_off("redis", mode=Mode.DELAY, amount=0.1),
        forgets=True,
    ),
    Fault(
        name="redis-loading",
        about="Redis: SIGKILL; it reads a long AOF before it answers",
        strike=load_slowly,
        forgets=True,
    ),
    Fault(
        name="redis-rewound",
        about="Redis: SIGKILL; up to two seconds of what it had answered are not in its AOF",
        strike=rewind,
        forgets=True,
    ),
    Fault(
        name="redis-wiped",
        about="Redis: FLUSHALL under load, again and again",
        strike=wipe,
        forgets=True,
    ),
    Fault(
        name="redis-lost",
        about="Redis: SIGKILL, and it comes back without its files",
        strike=lose,
        forgets=True,
    ),
    Fault(
        name="redis-evicts",
        about="Redis: keys that may be evicted are, at random",
        strike=evict,
        forgets=True,
    ),
    Fault(
        name="redis-full",
        about="Redis: maxmemory is what it has",
        strike=fill,
        accepts=LOG,
        forgets=True,
    ),
    Fault(
        name="redis-read-only",
        about="Redis: a replica, which refuses writes",
        strike=demote,
        accepts=LOG,
        forgets=True,
    ),
    Fault(
        name="redis-away-at-start",
        about="Redis: away while the web starts",
        strike=away_at_start("redis"),
        forgets=True,
    ),
)
