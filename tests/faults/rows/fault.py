"""Define a fault, and the steps that most faults share."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from random import Random

from tests.faults.proxy import Mode
from tests.faults.rig import Rig

Strike = Callable[[Rig, float, Random], None]
"""Breaks something and blocks while it lasts: for so many seconds, or a little longer.

Servers that are gone or frozen, frozen processes and proxies are mended by the rig; whatever else a
strike has changed it puts right itself.
"""


class Unmet(Exception):
    """Report that a condition of a strike was not met; the text names the condition."""


LOG, CACHE, STORE = frozenset({"log"}), frozenset({"cache"}), frozenset({"store"})
NOTHING: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True, kw_only=True)
class Fault:
    """A row of the table.

    `accepts`: by which durability sends must be acknowledged meanwhile; empty: by none at all;
    None: no matter. `forgets`: Redis forgets what it knew or cannot be asked, or the database
    answers one attempt of a group's send and not the other, so that a repeat may get its own id.
    `is_abuse`: everything works, and the ordinary load must not notice what is done beside it.
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
            rig.proxies.turn(name, mode, amount)
        time.sleep(hold_s)

    return strike


def away_at_start(*names: str) -> Strike:
    """The web is started anew while they are gone."""

    def strike(rig: Rig, hold_s: float, random: Random) -> None:
        rig.servers.kill(*names)
        rig.restart("web")
        time.sleep(hold_s)

    return strike
