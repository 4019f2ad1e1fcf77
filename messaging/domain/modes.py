"""Name the modes of the service: what still works while backends are away.

`MODES` is the one table of the modes; docs/reliability.md shows the same table.
"""

from __future__ import annotations

from collections.abc import Set
from dataclasses import dataclass, replace
from enum import StrEnum

CACHE, LOG, STORE = BACKENDS = ("cache", "log", "store")


class Sends(StrEnum):
    """Name the part that would confirm a send now: the `durability` of its answer."""

    LOG = "log"
    CACHE = "cache"
    STORE = "store"
    REFUSED = "refused"


class Reads(StrEnum):
    """Name the messages that a read would show now."""

    ALL = "all"
    CACHED = "cached, partial"
    STORED = "database, partial"
    REFUSED = "refused"


class Status(StrEnum):
    """Sum a mode up; a service that refuses sends is `refusing`, whatever its reads."""

    OK = "ok"
    DEGRADED = "degraded"
    REFUSING = "refusing"


@dataclass(frozen=True, slots=True)
class Mode:
    status: Status
    sends: Sends
    reads: Reads


MODES = {
    frozenset[str](): Mode(Status.OK, Sends.LOG, Reads.ALL),
    frozenset({CACHE}): Mode(Status.DEGRADED, Sends.LOG, Reads.STORED),
    frozenset({LOG}): Mode(Status.DEGRADED, Sends.CACHE, Reads.ALL),
    frozenset({STORE}): Mode(Status.DEGRADED, Sends.LOG, Reads.CACHED),
    frozenset({CACHE, LOG}): Mode(Status.DEGRADED, Sends.STORE, Reads.STORED),
    frozenset({CACHE, STORE}): Mode(Status.DEGRADED, Sends.LOG, Reads.REFUSED),
    frozenset({LOG, STORE}): Mode(Status.DEGRADED, Sends.CACHE, Reads.CACHED),
    frozenset(BACKENDS): Mode(Status.REFUSING, Sends.REFUSED, Reads.REFUSED),
}


def mode_of(away: Set[str], *, takes_sends: bool = True) -> Mode:
    """Return the mode while these backends are away.

    `takes_sends`: False while sends are refused for another reason than `away`, such as a full
    pending set.
    """
    mode = MODES[frozenset(away)]
    return mode if takes_sends else replace(mode, status=Status.REFUSING, sends=Sends.REFUSED)
