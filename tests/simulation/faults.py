"""Draw the faults of a schedule, and of each call of a port."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from random import Random

CALM, ROUGH = 0.01, 0.12  # the shares of calls with a fault, in schedules with faults
UNTIL_S = 4.0  # when everything heals


class CallFault(StrEnum):
    """Name what happens to one call; `TWICE` is for records of the log alone."""

    SLOW = "slow"
    REFUSED = "refused"  # at once, with nothing done
    REQUEST_LOST = "request lost"  # the caller waits for its timeout, with nothing done
    ANSWER_LOST = "answer lost"  # the same, with everything done
    LATE = "late"  # the same, and done after the caller has given up
    CRASH_BEFORE = "crash before"
    CRASH_AFTER = "crash after"
    PAUSE = "pause"  # the process stands still, longer than its leases and memberships may last
    TWICE = "twice"


class Event(StrEnum):
    """Name what happens to a whole process or backend at some moment."""

    OUTAGE = "outage"
    WIPE = "wipe"  # an outage of the cache, after which it is empty
    REWIND = "rewind"  # the cache is killed, and comes back without its last writes
    CRASH = "crash"
    AGE = "age"  # half an hour passes for what the cache lets age
    POISON = "poison"  # a record that is no event is appended
    REPLAY = "replay"  # the consumers' positions are set back to the start


class Outage(StrEnum):
    """Name how a backend is away."""

    REFUSES = "refuses"
    SILENT = "silent"  # callers wait for their timeout
    FROZEN = "frozen"  # the same, and the calls are done when the backend thaws


@dataclass(frozen=True, slots=True)
class CallFate:
    """Hold what happens to one call; times are seconds of the loop."""

    fault: CallFault | None
    request_s: float
    answer_s: float
    late_s: float


class Faults:
    """Decide about every call: a seed draws the kinds of faults and their share of the calls."""

    def __init__(self, random: Random) -> None:
        self._random = random
        self._rate = random.choice((0.0, CALM, CALM, ROUGH / 3, ROUGH))
        kinds = sorted(CallFault)
        self._kinds = [kind for kind in kinds if random.random() < 0.5] or kinds
        self.healed = False

    def next(self) -> CallFate:
        draw = self._random.random
        fault = None
        if not self.healed and draw() < self._rate:
            fault = self._random.choice(self._kinds)
        slow = 0.3 if fault is CallFault.SLOW or draw() < 0.03 else 0.003
        late_s = 0.6 + 2.0 * draw() if fault is CallFault.LATE else 0.0
        return CallFate(fault, slow * draw(), slow * draw(), late_s)

    def pause_s(self) -> float:
        return 0.0 if self.healed else self._random.choice((0.3, 1.0, 4.0))

    def restart_s(self) -> float:
        return 0.05 + 1.5 * self._random.random()
