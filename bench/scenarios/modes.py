"""Compare sync mode with async mode: flat out, and at a load that sync mode can bear."""

from __future__ import annotations

from dataclasses import replace

from bench.laps.bench import Bench, Refused
from bench.laps.measurement import Measurement

BEARABLE = 0.8  # of what sync mode answers flat out; at all of it any queue grows for ever


def run(bench: Bench) -> None:
    """Measure messages of groups pinned to sync mode, and private messages as the async ones.

    Raises: Refused where the answers say that the service stores otherwise.
    """
    groups = replace(bench.standard, accounts=bench.group_accounts)
    sync = bench.measure("sync", "sync mode, flat out", groups)
    expect(sync, is_sync=True, needs="the column `mode` of chat_group, which pins these groups")
    other = bench.measure("async", "async mode, flat out", bench.standard)
    expect(other, is_sync=False, needs="IM_PRIVATE_MODE=async, which is its default")
    rate = sync.rate * BEARABLE
    equal = f"mode at {rate:,.0f}/s"
    bench.measure("sync-equal", f"sync {equal}", replace(groups, rate=rate))
    bench.measure("async-equal", f"async {equal}", replace(bench.standard, rate=rate))


def expect(measured: Measurement, *, is_sync: bool, needs: str) -> None:
    """Refuse a mode that is not the expected one, judged by the durability of the answers.

    Most answers of sync mode say `store`. In async mode an answer says `store` only when neither
    the cache nor the log confirmed the message.

    Raises: Refused.
    """
    told = measured.result.durability
    stored = told["store"] / max(told.total(), 1)
    if (stored > 0.5) is not is_sync:
        raise Refused(
            f"{stored:.0%} of the answers of {measured.title!r} say `store`. "
            f"The running service needs {needs}"
        )
