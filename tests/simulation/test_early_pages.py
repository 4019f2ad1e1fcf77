"""Check that the simulator judges no page of a process whose front door is not open yet.

No client gets such a page, because the web server waits for the start of the process.
"""

from __future__ import annotations

import asyncio
from random import Random

import pytest

from messaging.domain.message import ChatType
from messaging.service.send import send
from tests.simulation.check import PromiseCheck
from tests.simulation.clients import SimulatedClient
from tests.simulation.hosts import WebHost
from tests.simulation.loop import VirtualLoop
from tests.simulation.record import Read, Said, ScheduleRecord
from tests.simulation.world import World
from tests.support.memory import ALICE, BOB, to_bob


async def _page_after_recall(record: ScheduleRecord, loop: VirtualLoop, *, is_open: bool) -> Read:
    """Show a message's content to its sender after an acknowledged recall that was never made."""
    world = World(loop, Random(1), record)
    world.faults.healed = world.look_faults.healed = world.inspection_faults.healed = True
    world.group.faults.healed = True
    web = WebHost("web", world)
    world.webs = [web]
    await asyncio.sleep(0.1)
    assert web.serves
    receipt = await send(web.backends, to_bob("said"), sender_id=ALICE)
    said = Said("said", ALICE, BOB, ChatType.PRIVATE, "1_2", None, is_bad_data=False)
    said.ids.append(receipt.message_id)
    said.attempts.append(record.tick())
    said.recall_begun, said.acknowledged, said.recalled = True, record.tick(), record.tick()
    record.said.append(said)
    web.serves = is_open
    read = await SimulatedClient(world, ALICE).read(ChatType.PRIVATE, BOB)
    assert read is not None
    PromiseCheck(record, world.watch, world.store, world.group.check()).everything()
    return read


@pytest.mark.parametrize("is_open", [True, False])
def test_content_after_a_recall_breaks_a_promise_where_the_door_is_open(is_open: bool) -> None:
    record, loop = ScheduleRecord(), VirtualLoop()
    reads: list[Read] = []

    async def play() -> None:
        reads.append(await _page_after_recall(record, loop, is_open=is_open))

    loop.play(play())
    assert [message.content for message in reads[0].seen] == (["said"] if is_open else [])
    broken = {violation.kind for violation in record.violations}
    assert ("resurrected" in broken) == is_open
