"""Name the scenarios, in the order in which a run takes them.

Each scenario is a function that measures laps with the given `Bench`, and a line for `--help`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from bench.laps.bench import Bench
from bench.scenarios import (
    capacity,
    drain,
    endurance,
    groups,
    latency,
    lists,
    mix,
    modes,
    pages,
    sustain,
)


@dataclass(frozen=True, slots=True)
class Scenario:
    run: Callable[[Bench], None]
    about: str


SCENARIOS: Mapping[str, Scenario] = {
    "closed": Scenario(
        capacity.closed,
        "as many sends as are answered, by each number of connections; beside a no-op",
    ),
    "open": Scenario(capacity.open_loop, "sends at fixed rates (--rate)"),
    "lone": Scenario(latency.lone, "one send at a time on an idle service"),
    "sends": Scenario(latency.sends, "100 sends (--sends) one after the other, and all at once"),
    "modes": Scenario(
        modes.run, "sync mode (groups) against async mode, flat out and at equal load"
    ),
    "groups": Scenario(
        groups.run, "sends to one group (--group-members) beside private ones, by the same users"
    ),
    "mix": Scenario(mix.run, "seven sends, two history pages and a recall in every ten requests"),
    "pages": Scenario(pages.run, "the first history page, warm: flat out and at 1,000 a second"),
    "lists": Scenario(
        lists.run, "list, sync and marks of what was read, by users with 200 conversations"
    ),
    "drain": Scenario(drain.run, "how fast the consumer stores what has piled up"),
    "sustain": Scenario(
        sustain.run, "accept and store together for a minute, at 5,100 a second or --rate"
    ),
    "long": Scenario(endurance.run, "ten minutes (--minutes) at half rate, for the memory's sake"),
}
SHORT = ("closed", "open", "lone")
STANDARD = tuple(name for name in SCENARIOS if name != "long")
