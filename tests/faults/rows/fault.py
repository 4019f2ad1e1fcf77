"""Define a fault, and the strikes that most faults use."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from random import Random

from tests.faults.rig import Rig
from tests.support.proxy import Mode

Strike = Callable[[Rig, float, Random], None]
"""Break something and block while the fault lasts: for so many seconds, or a little longer.

The rig mends servers that are gone or frozen, frozen processes, and proxies. A strike undoes its
other changes itself.
"""


class Unmet(Exception):
    """Report that a strike did not see the effect that it has to see; the text names the effect."""


LOG, CACHE, STORE = frozenset({"log"}), frozenset({"cache"}), frozenset({"store"})
NOTHING: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True, kw_only=True)
class Fault:
    """Describe a row of the table.

    `accepts`: the durabilities by which sends must be acknowledged meanwhile; empty: no send may be
    acknowledged; None: any.
    `forgets`: a repeat may get an id of its own, because Redis forgets idempotency records or
    cannot be asked, or because the database answers only one attempt of a group's send.
    `is_abuse`: everything works, and the ordinary load must not notice the abuse beside it.
    """

    name: str
    about: str
    strike: Strike
    hold_s: float = 3.0
    accepts: frozenset[str] | None = None
    forgets: bool = False
    is_abuse: bool = False


def killed(*names: str) -> Strike:
    def strike(rig: Rig, hold_s: float, random: Random) -> None:
        rig.servers.kill(*names)
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
            rig.proxies[name].turn(mode, amount)
        time.sleep(hold_s)

    return strike


def away_at_start(*names: str) -> Strike:
    """Start the web anew while these servers are gone."""

    def strike(rig: Rig, hold_s: float, random: Random) -> None:
        rig.servers.kill(*names)
        rig.restart("web")
        time.sleep(hold_s)

    return strike
