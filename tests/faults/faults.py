"""The faults, one a row of the table. Each breaks something, waits, and leaves the mending to the
rig, except for what only it knows of.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from random import Random

from tests.faults.proxy import Mode
from tests.faults.rig import Rig

Strike = Callable[[Rig, float, Random], None]

LOG, CACHE, STORE = frozenset({"log"}), frozenset({"cache"}), frozenset({"store"})
NOTHING: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True, kw_only=True)
class Fault:
    """`strike` breaks something and blocks while it lasts.

    `accepts`: by which durability private sends must be acknowledged meanwhile; empty: by none;
    None: no matter. `forgets`: Redis forgets what it knew or cannot be asked, so that the repeat of
    a send may get an id of its own.
    """

    name: str
    about: str
    strike: Strike
    hold_s: float = 6.0
    accepts: frozenset[str] | None = None
    forgets: bool = False


def killed(*names: str) -> Strike:
    def strike(rig: Rig, hold_s: float, random: Random) -> None:
        for name in names:
            rig.servers.kill(name)
        time.sleep(hold_s)

    return strike


def frozen(*names: str) -> Strike:
    def strike(rig: Rig, hold_s: float, random: Random) -> None:
        for name in names:
            rig.servers.freeze(name)
        time.sleep(hold_s)

    return strike


def cut_off(*names: str, mode: Mode = Mode.BLACK_HOLE, amount: float = 0.0) -> Strike:
    def strike(rig: Rig, hold_s: float, random: Random) -> None:
        for name in names:
            rig.proxies.turn(name, mode, amount)
        time.sleep(hold_s)

    return strike


FAULTS = {
    fault.name: fault
    for fault in (
        Fault(
            name="redis-killed",
            about="SIGKILL of Redis; it comes back from its AOF",
            strike=killed("redis"),
            accepts=LOG,
            forgets=True,
        ),
        Fault(
            name="kafka-killed",
            about="SIGKILL of Kafka",
            strike=killed("kafka"),
            accepts=CACHE,
        ),
        Fault(
            name="mariadb-killed",
            about="SIGKILL of MariaDB",
            strike=killed("mariadb"),
            accepts=LOG,
        ),
    )
}
