"""Run one schedule: the site, its backends, its users and the faults, all drawn from a seed."""

from __future__ import annotations

import asyncio
import copy
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from random import Random
from typing import Any

from messaging.conf import Settings
from messaging.database.threads import PROBE_TIMEOUT_S
from messaging.domain.backend_errors import CacheUnavailable, LogUnavailable, StoreUnavailable
from messaging.domain.breakers import LONGEST_PAUSE_S, State
from messaging.domain.changes import Change
from messaging.domain.errors import ApiError
from messaging.domain.ids import time_of_id
from messaging.domain.message import ChatType
from messaging.ports.log import OutgoingRecord
from messaging.testing.store import MemoryStore
from tests.simulation.backends import Backend, Broker, Cache
from tests.simulation.check import PromiseCheck
from tests.simulation.clients import BAD, SimulatedClient
from tests.simulation.faults import UNTIL_S, Event, Faults, Outage
from tests.simulation.follower_check import FollowerCheck
from tests.simulation.followers import Follower
from tests.simulation.group_directory import ProcessDirectory
from tests.simulation.group_life import GroupLife
from tests.simulation.group_verbs import GROUP
from tests.simulation.hosts import ConsumerHost, Host, SweeperHost, WebHost
from tests.simulation.lives import Life
from tests.simulation.loop import VirtualLoop
from tests.simulation.record import ScheduleRecord
from tests.simulation.trace import Trace
from tests.simulation.watch import BackendWatch
from tests.support.messages import FIRST_ID

USERS = (1, 2, 3)
BEGIN_MS = time_of_id(FIRST_ID)
DRAINED_WITHIN_S = 90.0
LONGEST_UNWRITTEN_S = 2.0  # of answers of the cache that are not yet in its file
# A probe that hangs when the store returns, the pause, and the probe that is answered.
STORE_NOTICED_S = PROBE_TIMEOUT_S + LONGEST_PAUSE_S + PROBE_TIMEOUT_S
RECOVERED_S = 3.0  # by then no page is partial any more
SETTLE_S = 3.0  # for late calls to end


@dataclass(eq=False)
class World:
    loop: VirtualLoop
    random: Random
    record: ScheduleRecord
    report: Callable[[str], None] | None = None

    def __post_init__(self) -> None:
        clock_s = self.loop.time
        self.trace = Trace(clock_s, self.report)
        self.settings = _settings(self.random)
        self.faults = Faults(self.random)
        self.inspection_faults = Faults(copy.copy(self.random))
        self.look_faults = Faults(copy.copy(self.random))
        self.cache = Cache(clock_s=clock_s)
        self.store = MemoryStore(
            clock_s=clock_s, refuses=lambda message: message.content.startswith(BAD)
        )
        self.broker = Broker(clock_s=clock_s)
        stream = Random(copy.copy(self.random).getrandbits(64))
        self.group = GroupLife(stream, USERS, self.store, self.record)
        self.cache_end = Backend(
            "cache", CacheUnavailable, CacheUnavailable, self.settings.redis_timeout_s
        )
        self.store_end = Backend(
            "store",
            StoreUnavailable,
            partial(StoreUnavailable, is_outage=True),
            self.settings.store_timeout_s,
        )
        self.log_end = Backend("log", LogUnavailable, LogUnavailable, self.settings.log_timeout_s)
        self.watch = BackendWatch(
            self.broker, self.cache, self.store, self.settings.topic, self.record.violate
        )

    def clock_ms(self) -> int:
        return BEGIN_MS + round(self.loop.time() * 1000)

    @property
    def cache_is_known_to_recover(self) -> bool:
        """Tell whether every process noticed the cache's last outage, so that pages are partial."""
        back_s = self.cache_end.noticed_s
        saw_it = all(self._saw_outage(web) and not web.life.was_paused for web in self.webs)
        return saw_it and self.loop.time() - back_s < RECOVERED_S

    def _saw_outage(self, web: WebHost) -> bool:
        """Tell whether a process noticed the last outage of the cache.

        A process that has started during the outage may have reached the cache only after its
        return.
        """
        back_s, breaker = self.cache_end.noticed_s, web.backends.hints.breaker
        if web.started_s < self.cache_end.left_s:
            return True
        met_it = breaker.state is not State.CLOSED or breaker.closed_s >= back_s
        return web.started_s < back_s and met_it

    def targets_of(self, user: int) -> Sequence[tuple[ChatType, int]]:
        """Return a user's targets: users 1 and 2 talk to each other, 3 to 1, and all in a group."""
        other = {1: 2, 2: 1, 3: 1}[user]
        return (ChatType.PRIVATE, other), (ChatType.PRIVATE, other), (ChatType.GROUP, GROUP)

    async def publish(self, known: ProcessDirectory, changes: Sequence[Change]) -> None:
        others = () if self.cache_end.outage else [web.known for web in self.webs]
        self.group.publish(known, others, changes)

    def keep(self, task: asyncio.Future[Any], life: Life) -> None:
        """Observe the end of a process's task: any error that is not anticipated is a violation."""

        def observe(_: object) -> None:
            error = None if task.cancelled() else task.exception()
            if error is not None and not isinstance(error, ApiError):
                self.record.violate("unforeseen error", f"{life.name}: {error!r}")

        task.add_done_callback(observe)

    async def run(self) -> None:
        self.webs = [WebHost("web1", self), WebHost("web2", self)]
        self.hosts: list[Host] = [
            *self.webs,
            ConsumerHost("consumer1", self),
            ConsumerHost("consumer2", self),
            SweeperHost("sweeper", self),
        ]
        self._plan_events()
        self.loop.call_at(UNTIL_S, self._heal)
        self.loop.call_at(UNTIL_S + STORE_NOTICED_S, self._check_store_noticed)
        await asyncio.sleep(0.01)
        operations = self.random.randint(4, 24)
        clients = [SimulatedClient(self, user) for user in USERS]
        followers = list(self._followers())
        shares = [self.random.randint(1, operations) for _ in clients]
        await asyncio.gather(
            *(
                c.run(round(operations * s / sum(shares)))
                for c, s in zip(clients, shares, strict=True)
            ),
            *(member.change(acts) for member, acts in self.group.members(self)),
            *(follower.follow(steps) for follower, steps in followers),
        )
        if await self._drain():
            await self._observe_at_rest(clients)
            for (follower, _), user in zip(followers, USERS, strict=True):
                await FollowerCheck(self, follower, user).run()

    def _followers(self) -> Iterator[tuple[Follower, int]]:
        """Yield a client on sync for each user, with a number of steps.

        The clients share a stream of draws, which is another one than the group's.
        """
        stream = Random(copy.copy(self.random).getrandbits(64) + 1)
        for user in USERS:
            yield Follower(self, user, stream), stream.choice((0, 4, 10))

    async def _drain(self) -> bool:
        """Wait until nothing is under way any more; tell whether that came in time."""
        await asyncio.sleep(max(UNTIL_S - self.loop.time(), 0) + SETTLE_S)
        deadline_s = self.loop.time() + DRAINED_WITHIN_S
        while not (
            self.watch.is_drained()
            and all(web.knows_all for web in self.webs)
            and not self.store.announced_losses
            and not self.store.hinted  # a sweep delivers the hints of those that have died
        ):
            if self.loop.time() > deadline_s:
                self.record.violate("not drained", f"pending: {[*self.cache.pending_set.times]}")
                return False
            await asyncio.sleep(1.0)
        return True

    async def _observe_at_rest(self, clients: Sequence[SimulatedClient]) -> None:
        group = self.group.check()
        check = PromiseCheck(self.record, self.watch, self.store, group)
        for aged in (False, True):
            if aged:
                self.cache.run_out()
            for client, user in zip(clients, USERS, strict=True):
                for target in dict.fromkeys(self.targets_of(user)):
                    read = await client.read(*target)
                    if read is not None and read.partial:
                        await asyncio.sleep(RECOVERED_S + 1.0)
                        read = await client.read(*target)
                    if read is None and target[0] is ChatType.GROUP and not group.is_in(user):
                        continue
                    if read is None:
                        self.record.violate("no answer at rest", f"user {user}, {target}")
                        continue
                    if read.seen:
                        await client.read_below(read, *target)
                    check.at_rest(read, aged=aged)
            await self._ask_for_told_ids(clients, check)
        check.everything()

    async def _ask_for_told_ids(
        self, clients: Sequence[SimulatedClient], check: PromiseCheck
    ) -> None:
        """Check that each acknowledged id leads its sender to the stored message."""
        senders = dict(zip(USERS, clients, strict=True))
        for said in self.record.said:
            for message_id in said.ids:
                check.told_id(said, message_id, await senders[said.sender].resolve(message_id))

    def _plan_events(self) -> None:
        draw = self.random
        for event in sorted(Event):
            many = draw.choice(
                (0, 1, 2, 3) if event in (Event.OUTAGE, Event.CRASH) else (0, 0, 0, 1)
            )
            for _ in range(many):
                self.loop.call_at(draw.uniform(0.05, UNTIL_S - 1.0), self._happen, event)

    def _happen(self, event: Event) -> None:
        if self.faults.healed:
            return
        if event is Event.OUTAGE:
            ends = (self.cache_end, self.log_end, self.store_end)
            for end in self.random.sample(ends, self.random.choice((1, 1, 2, 3))):
                self._send_away(end)
        elif event is Event.WIPE:
            self._send_away(self.cache_end)
            self.watch.before_wipe()
            self.cache.wipe()
            self._restart_cache()
            self.trace("", "WIPE")
        elif event is Event.REWIND:
            unwritten_s = self.random.uniform(0.05, LONGEST_UNWRITTEN_S)
            self.loop.call_later(unwritten_s, self._rewind, self.cache.file())
        elif event is Event.CRASH:
            self.random.choice(self.hosts).life.crash()
        elif event is Event.AGE:
            self._age()
        elif event is Event.POISON:
            self.broker.write(self.settings.topic, OutgoingRecord(b"1_2", b"no event"))
            self.trace("", "POISON")
        else:
            self.broker.set_back()
            self.trace("", "REPLAY")

    def _rewind(self, file: Mapping[str, Any]) -> None:
        """Kill the cache and bring back its old file; every process has lost its connection."""
        if self.faults.healed:
            return
        self.trace("", "REWIND")
        self._send_away(self.cache_end, Outage.REFUSES)
        self.watch.before_rewind(file)
        self.cache.restart(file)
        self._restart_cache()

    def _restart_cache(self) -> None:
        """End all connections to the cache; the processes doubt their groups at its return."""
        self.cache_end.restart()

    def _age(self) -> None:
        """Let half an hour pass, unless calls are under way, which cannot take so long."""
        paused = any(host.life.is_paused for host in self.hosts)
        if not paused and not self.cache_end.late and not self.cache_end.outage:
            self.cache.run_out()
            self.trace("", "AGE")

    def _send_away(self, end: Backend, outage: Outage | None = None) -> None:
        outage = outage or self.random.choice(tuple(Outage))
        self.trace("", f"{end.name} is away: {outage}")
        end.leave(outage)
        if end is self.cache_end and outage is Outage.REFUSES:
            for web in self.webs:
                web.lose_cache()
        self.loop.call_later(self.random.choice((0.1, 0.7, 2.5)), self._bring_back, end)

    def _bring_back(self, end: Backend) -> None:
        self.trace("", f"{end.name} is back")
        end.come_back()

    def _heal(self) -> None:
        self.trace("", "HEAL")
        of_calls = self.faults, self.inspection_faults, self.look_faults, self.group.faults
        for faults in of_calls:
            faults.healed = True
        for end in (self.cache_end, self.log_end, self.store_end):
            end.come_back()
        for host in self.hosts:
            host.life.wake()

    def _check_store_noticed(self) -> None:
        """Judge that every process uses the store again in time after its return."""
        for web in self.webs:
            breaker = web.backends.store.breaker
            if breaker.state is not State.CLOSED and breaker.opened_s < UNTIL_S:
                self.record.violate("the store's return not noticed", web.life.name)


def _settings(random: Random) -> Settings:
    """Draw settings: short times, so that much happens in a schedule, and sizes that differ."""
    return Settings(
        redis_url="redis://unused",
        event_log_url="redis://unused",
        send_rate=0,
        read_rate=0,
        change_rate=0,
        lookup_rate=0,
        group_mode=random.choice(("async", "async", "sync")),
        redis_timeout_s=0.4,
        log_timeout_s=1.0,
        store_timeout_s=2.0,
        store_ack_timeout_s=0.5,
        accept_group=random.choice((1, 3, 256)),
        consumer_batch=random.choice((1, 3, 20)),
        consumer_poll_s=1.0,
        compensate_after_s=random.choice((0.5, 2.0)),
        compensate_batch=random.choice((2, 500)),
        compensate_budget_s=3.0,
    )
