"""Compare sends to one group with private sends, by the same users over as many connections."""

from __future__ import annotations

from dataclasses import replace

from bench.laps.bench import Bench
from bench.scenarios.modes import expect

PASSES = (("private", 1), ("group", 1), ("group", 2), ("private", 2))


def run(bench: Bench) -> None:
    """Measure two laps of each kind, in an order by which a drift of the machine weighs on both.

    Raises: Refused where the answers say that the group is not in async mode.
    """
    crowd = bench.crowd
    senders = bench.standard.accounts[: len(crowd)]
    connections = min(bench.standard.connections, len(crowd))
    for kind, number in PASSES:
        is_group = kind == "group"
        plan = replace(
            bench.standard, accounts=crowd if is_group else senders, connections=connections
        )
        to = f"a group of {bench.options.group_members:,}" if is_group else "one user"
        measured = bench.measure(f"{kind}-{number}", f"sends to {to}, flat out ({number})", plan)
        if is_group:
            needs = "the column `mode` of chat_group, which pins this group to async mode"
            expect(measured, is_sync=False, needs=needs)
