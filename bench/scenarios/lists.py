"""Measure what a client asks to know where it stands: list, sync, and marks of what was read."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from bench.laps import accounts
from bench.laps.bench import Bench
from bench.laps.cursors import caught_up
from bench.load.traffic import Account

READERS = 50
CONVERSATIONS = 200  # of each reader
CHANGED = 20  # of them have something new, in the lap with news
STEADY_RATE = 300.0
NEWS_RATE = 50.0
MARK_RATE = 3_000.0
FILL_CONNECTIONS = 64
LIMIT_S = 300.0
WARM_S = 3.0


def run(bench: Bench) -> None:
    """Give the readers their conversations, then let them list, sync and mark.

    Raises: LoadFailed when the readers cannot sync.
    """
    readers = bench.standard.accounts[:READERS]
    friends = accounts.make_friends(bench.run.name, readers, CONVERSATIONS)
    bench.ledger.expect(friends)
    _send_each(bench, "lists-fill", f"filling {len(friends):,} conversations", friends)
    steady = replace(
        bench.standard,
        accounts=readers,
        connections=min(bench.standard.connections, len(readers)),
        rate=STEADY_RATE,
        warm_s=WARM_S,
    )
    rate = f"{STEADY_RATE:,.0f}/s"
    bench.measure("list", f"list of {CONVERSATIONS} at {rate}", replace(steady, kind="list"))
    before, _ = caught_up(bench.standard.site, readers)
    idle = replace(steady, kind="sync", accounts=before)
    bench.measure("sync-idle", f"sync with nothing new at {rate}", idle)
    news = friends[: CHANGED * len(readers)]
    _send_each(bench, "lists-news", f"news in {len(news):,} conversations", news)
    _, told = caught_up(bench.standard.site, before)
    slower = replace(idle, rate=NEWS_RATE)
    title = f"sync with {CHANGED} changed at {NEWS_RATE:,.0f}/s"
    measured = bench.measure("sync-news", title, slower)
    measured.figures["changed conversations"] = told / len(readers)
    marks = replace(bench.standard, kind="mark", rate=MARK_RATE)
    bench.measure("marks", f"marks of what was read at {MARK_RATE:,.0f}/s", marks)


def _send_each(bench: Bench, name: str, title: str, senders: Sequence[Account]) -> None:
    """Let each of these accounts send a message or two."""
    fill = replace(
        bench.standard,
        accounts=senders,
        connections=min(FILL_CONNECTIONS, len(senders)),
        limit=round(1.5 * len(senders)),
        seconds=LIMIT_S,
        warm_s=0.0,
    )
    bench.measure(name, title, fill)
