"""Run one fault once: load, fault, heal, drain.

`result` judges the transcript of the run.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from random import Random

from tests.faults.aftermath import NotDrained, ask_for_told, await_drained, read_all, stored
from tests.faults.client import FaultClient
from tests.faults.load import CastLoad, clients_of
from tests.faults.places import places_of
from tests.faults.result import FaultResult, judge
from tests.faults.rig import Cast, Rig
from tests.faults.rows import Fault, Unmet
from tests.faults.transcript import TOLD, Recorder, StoredMessage

WARM_S = 1.0
AFTER_S = 1.0
READ_TIMEOUT_S = 30.0
READ_PAUSE_S = 0.5

Report = Callable[[str], None]


def run(rig: Rig, fault: Fault, *, seed: int, hold_s: float, report: Report) -> FaultResult:
    """Run the fault once.

    The stack is whole afterwards; nothing is restarted to make it drain.
    """
    path = rig.directory / f"{fault.name}-{seed}.jsonl"
    with Recorder(path) as recorder:
        asyncio.run(_Run(rig, fault, f"{fault.name} {seed}", hold_s, recorder, report).run())
    return judge(fault, seed, recorder.transcript, path)


class _Run:
    def __init__(
        self, rig: Rig, fault: Fault, seed: str, hold_s: float, recorder: Recorder, report: Report
    ) -> None:
        self._rig = rig
        self._fault = fault
        self._seed = seed
        self._hold_s = hold_s
        self._recorder = recorder
        self._report = report
        self._cast: Cast = rig.take_cast()
        self._conversations = sorted(
            {
                place.conversation
                for user in self._cast.tokens
                for place in places_of(self._cast, user)
            }
        )

    async def run(self) -> None:
        losses, self._rig.note = self._losses_of_redis(), self._recorder.mark
        async with clients_of(self._cast, self._rig.service.base_url, self._recorder) as clients:
            load = CastLoad(self._cast, clients, self._seed)
            load.begin(has_guest=not self._fault.is_abuse)
            await asyncio.sleep(self._hold_s if self._fault.is_abuse else WARM_S)
            await self._break_and_mend()
            await asyncio.sleep(AFTER_S)
            await load.end()
            self._report("drains")
            await asyncio.to_thread(self._await_drained)
            self._report("is read")
            await self._read_to_the_end(clients)
            for wrong in await load.compare_followers():
                self._recorder.mark(f"astray: {wrong}")
            self._report("is asked for every id")
            operations = list(self._recorder.transcript.operations)
            self._recorder.mark(TOLD)
            await ask_for_told(self._cast, operations, clients)
        if self._losses_of_redis() != losses:
            self._recorder.mark("redis lost")
        if self._fault.is_abuse:
            self._recorder.mark("memory after", self._rig.web_memory_bytes())
        for record in await asyncio.to_thread(stored, self._rig, self._conversations):
            self._recorder.add(record)

    def _losses_of_redis(self) -> int:
        """Return how often a process has tripped the breaker of Redis.

        On a starved machine a breaker may trip without a fault of Redis.
        """
        return sum("backend=cache" in line for line in self._rig.log_lines("breaker.opened"))

    async def _break_and_mend(self) -> None:
        self._report("is broken")
        self._recorder.mark("fault")
        try:
            await asyncio.to_thread(self._fault.strike, self._rig, self._hold_s, Random(self._seed))
        except Unmet as error:
            self._recorder.mark(f"stuck: {error}")
        finally:
            self._recorder.mark("mending")
            await asyncio.to_thread(self._rig.mend)
        self._recorder.mark("healed")
        self._report("is whole again")

    def _await_drained(self) -> None:
        names = {
            operation.client_msg_id
            for operation in self._recorder.transcript.operations
            if operation.kind == "send" and operation.outcome == "ok"
        }

        def are_stored() -> bool:
            found = stored(self._rig, self._conversations)
            return names <= {row.client_msg_id for row in found if isinstance(row, StoredMessage)}

        try:
            await_drained(self._rig, are_stored)
        except NotDrained as error:
            self._recorder.mark(f"stuck: {error}")
        else:
            self._recorder.mark("drained")

    async def _read_to_the_end(self, clients: dict[int, list[FaultClient]]) -> None:
        deadline_s = time.monotonic() + READ_TIMEOUT_S
        while not await read_all(self._cast, clients):
            if time.monotonic() > deadline_s:
                self._recorder.mark("stuck: history stays partial")
                return
            await asyncio.sleep(READ_PAUSE_S)
