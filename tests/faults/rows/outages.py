"""Define the faults in which several of the three services break at once."""

from __future__ import annotations

import signal
import time
from random import Random

from messaging.cache import keys
from messaging.conf import Settings
from tests.faults.rig import Rig
from tests.faults.rows.fault import CACHE, LOG, NOTHING, STORE, Fault, cut_off, killed
from tests.support.proxy import Mode
from tests.support.servers import NAMES

MODES = (Mode.RESET, Mode.BLACK_HOLE, Mode.MUTE)
SHORTEST_S, LONGEST_S = 0.3, 1.5
PENDING_BYTES: int = Settings.__dataclass_fields__["pending_bytes"].default
ROOM_BYTES = 20_000


def fill_up(rig: Rig, hold_s: float, random: Random) -> None:
    """Leave Redis alone, with almost as many pending bytes counted as are allowed."""
    rig.servers.kill("kafka", "mariadb")
    others = PENDING_BYTES - ROOM_BYTES
    with rig.servers.redis() as redis:
        redis.incrby(keys.PENDING_BYTES, others)
        try:
            time.sleep(hold_s)
        finally:
            redis.decrby(keys.PENDING_BYTES, others)


def move(rig: Rig, hold_s: float, random: Random) -> None:
    """Move the outage from MariaDB to Redis and Kafka.

    Readers of MariaDB alone must not miss the changes that only Redis and Kafka have taken. The
    consumers are frozen, so that they do not store these changes meanwhile.
    """
    rig.signal_workers("consumer", signal.SIGSTOP)
    rig.proxies["mariadb"].turn(Mode.BLACK_HOLE)
    time.sleep(hold_s / 2)
    rig.proxies["kafka"].turn(Mode.BLACK_HOLE)
    rig.proxies["redis"].turn(Mode.BLACK_HOLE)
    rig.proxies["mariadb"].turn(Mode.PASS)
    time.sleep(hold_s / 2)


def swizzle(rig: Rig, hold_s: float, random: Random) -> None:
    deadline_s = time.monotonic() + hold_s
    while time.monotonic() < deadline_s:
        name = random.choice(NAMES)
        match random.choice(("cut off", "frozen", "killed", "mended", "mended")):
            case "cut off":
                rig.proxies[name].turn(random.choice(MODES))
            case "frozen":
                rig.servers.freeze(name)
            case "killed":
                rig.servers.kill(name)
            case _:
                rig.proxies[name].turn(Mode.PASS)
                rig.servers.mend(name)
        time.sleep(random.uniform(SHORTEST_S, LONGEST_S))


FAULTS = (
    Fault(
        name="redis+kafka-killed",
        about="Redis and Kafka: SIGKILL",
        strike=killed("redis", "kafka"),
        accepts=STORE,
        forgets=True,
    ),
    Fault(
        name="redis+mariadb-killed",
        about="Redis and MariaDB: SIGKILL",
        strike=killed("redis", "mariadb"),
        accepts=LOG,
        forgets=True,
    ),
    Fault(
        name="kafka+mariadb-killed",
        about="Kafka and MariaDB: SIGKILL",
        strike=killed("kafka", "mariadb"),
        accepts=CACHE,
    ),
    Fault(
        name="kafka+mariadb-past-the-cap",
        about="Kafka and MariaDB: SIGKILL, until no more may be pending",
        strike=fill_up,
        hold_s=6.0,
    ),
    Fault(
        name="all-killed",
        about="all three: SIGKILL",
        strike=killed("redis", "kafka", "mariadb"),
        accepts=NOTHING,
        forgets=True,
    ),
    Fault(
        name="redis+kafka-black-hole",
        about="Redis and Kafka: nothing gets there or back",
        strike=cut_off("redis", "kafka"),
        accepts=STORE,
        forgets=True,
    ),
    Fault(
        name="redis+mariadb-black-hole",
        about="Redis and MariaDB: nothing gets there or back",
        strike=cut_off("redis", "mariadb"),
        accepts=LOG,
        forgets=True,
    ),
    Fault(
        name="kafka+mariadb-black-hole",
        about="Kafka and MariaDB: nothing gets there or back",
        strike=cut_off("kafka", "mariadb"),
        accepts=CACHE,
    ),
    Fault(
        name="all-black-hole",
        about="all three: nothing gets there or back",
        strike=cut_off("redis", "kafka", "mariadb"),
        accepts=NOTHING,
        forgets=True,
    ),
    Fault(
        name="outage-moves",
        about="consumers frozen; MariaDB cut off, then Redis and Kafka instead of it",
        strike=move,
        hold_s=8.0,
        forgets=True,
    ),
    Fault(
        name="swizzle",
        about="each of the three broken in one way or another, and mended, in random order",
        strike=swizzle,
        hold_s=8.0,
        forgets=True,
    ),
)
